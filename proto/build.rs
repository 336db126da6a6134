//! Generates the crate's code from `paraphe/v1/*.proto` without a system `protoc`:
//! messages, clients and servers (`paraphe.v1.rs`), the descriptor set for reflection (`paraphe_v1.bin`)
//! and the table of permissions (`access.rs`). The build fails where an RPC names no role.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

const PROTO_FILES: [&str; 6] = [
    "paraphe/v1/access.proto",
    "paraphe/v1/admin.proto",
    "paraphe/v1/companion.proto",
    "paraphe/v1/enrolment.proto",
    "paraphe/v1/session.proto",
    "paraphe/v1/step_up.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println_cargo("rerun-if-changed=build.rs")?;
    println_cargo("rerun-if-changed=paraphe")?;
    let out_dir = env::var("OUT_DIR")?;
    let out_dir = Path::new(&out_dir);

    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(PROTO_FILES)?;

    // Encoded by protox itself: prost's own types would drop the options.
    fs::write(
        out_dir.join("paraphe_v1.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    fs::write(
        out_dir.join("access.rs"),
        access_table(&compiler.descriptor_pool())?,
    )?;

    tonic_prost_build::configure()
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Rust source of the table of RPCs and the roles that may call them.
fn access_table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let allow = pool
        .get_extension_by_name("paraphe.v1.allow")
        .ok_or("access.proto lacks the option `allow`")?;
    let mut source = String::from(
        "/// Every RPC of `paraphe.v1`, by service and declaration.\npub const METHODS: &[Method] = &[\n",
    );
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            let roles = role_names(&method, &options.get_extension(&allow))?;
            writeln!(
                source,
                "    Method {{ path: \"/{}/{}\", roles: &[{}], server_streaming: {} }},",
                service.full_name(),
                method.name(),
                roles.join(", "),
                method.is_server_streaming(),
            )?;
        }
    }
    source.push_str("];\n");
    Ok(source)
}

/// The `allow` option of one RPC as Rust expressions; an error where it is empty or not a role.
fn role_names(method: &MethodDescriptor, allow: &Value) -> Result<Vec<String>, Box<dyn Error>> {
    let numbers = allow.as_list().unwrap_or_default();
    if numbers.is_empty() {
        return Err(format!(
            "{} names no role: add `option (paraphe.v1.allow)`",
            method.full_name()
        )
        .into());
    }
    let role = method
        .parent_pool()
        .get_enum_by_name("paraphe.v1.Role")
        .ok_or("access.proto lacks the enum `Role`")?;
    let mut names = Vec::new();
    for number in numbers {
        let value = number
            .as_enum_number()
            .filter(|number| *number != 0)
            .and_then(|number| role.get_value(number))
            .ok_or_else(|| format!("{} names an unspecified role", method.full_name()))?;
        names.push(format!(
            "Role::{}",
            camel_case(value.name().trim_start_matches("ROLE_"))
        ));
    }
    Ok(names)
}

/// `SOME_NAME` as `SomeName`, the way prost names enum values.
fn camel_case(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (head, tail) = word.split_at(word.len().min(1));
            head.to_ascii_uppercase() + &tail.to_ascii_lowercase()
        })
        .collect()
}

fn println_cargo(instruction: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "cargo::{instruction}")
}
