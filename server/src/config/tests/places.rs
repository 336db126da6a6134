//! Where a refusal points to.

use super::refused;

#[test]
fn a_conflict_names_the_line_of_its_key_or_of_the_section_that_would_hold_it() {
    let cases = [
        (
            "[pin]\n# shorter\nmin_length = 8\nmax_length = 7\n",
            "configuration:16: pin.max_length: ",
        ),
        (
            "[pin]\nwait_after_3_s = 3600\n",
            "configuration:13: pin.wait_after_4_s: ",
        ),
        (
            "[step_up]\nmin_lifetime_s = 2\n",
            "configuration:14: step_up.min_lifetime_s: ",
        ),
    ];
    for (section, begins) in cases {
        let error = refused(section);
        assert_eq!(error.code(), "config.conflict");
        assert!(error.to_string().starts_with(begins), "{begins}: {error}");
    }
}

#[test]
fn what_is_no_number_is_told_what_would_be_right() {
    for (section, found) in [
        ("[devices]\nper_person = \"two\"\n", "string \"two\""),
        ("[devices]\nper_person = true\n", "boolean `true`"),
        ("[devices]\nper_person = 1.5\n", "floating point `1.5`"),
    ] {
        let error = refused(section);
        assert_eq!(error.code(), "config.value");
        let text = error.to_string();
        let allowed = "configuration:14: devices.per_person: ";
        assert!(text.starts_with(allowed) && text.contains(found), "{text}");
        assert!(text.contains("a whole number from 1 to 5"), "{text}");
    }
}
