//! What makes a PIN easy to guess. Called by [`super::Pin::choose`]; section 4 of protocol.md.

/// One digit, or one group of digits, over and over; the last group may be cut short.
pub(super) fn repeats(digits: &[u8]) -> bool {
    (1..=digits.len() / 2).any(|period| digits.iter().zip(digits.iter().skip(period)).all(|(a, b)| a == b))
}

/// Every digit one more than the one before, or every digit one less; 9 and 0 are neighbours.
pub(super) fn counts(digits: &[u8]) -> bool {
    let all_step_by = |step: u8| {
        digits
            .iter()
            .zip(digits.iter().skip(1))
            .all(|(a, b)| (a.wrapping_sub(b'0') + step) % 10 == b.wrapping_sub(b'0'))
    };
    all_step_by(1) || all_step_by(9)
}

/// A calendar date of six or eight digits in any usual order, or a month and a year.
pub(super) fn is_date(digits: &str) -> bool {
    let parts = |layout: &[usize]| split(digits, layout);
    match digits.len() {
        6 => {
            parts(&[2, 2, 2]).is_some_and(|[a, b, c]| is_day(a, b) || is_day(b, a) || is_day(c, b))
                || parts(&[2, 4, 0]).is_some_and(|[month, year, _]| is_month(month) && is_year(year))
                || parts(&[4, 2, 0]).is_some_and(|[year, month, _]| is_month(month) && is_year(year))
        }
        8 => {
            parts(&[2, 2, 4]).is_some_and(|[a, b, year]| is_year(year) && (is_day(a, b) || is_day(b, a)))
                || parts(&[4, 2, 2]).is_some_and(|[year, month, day]| is_year(year) && is_day(day, month))
        }
        _ => false,
    }
}

/// Three numbers of these lengths; a length of 0 gives 0.
fn split(digits: &str, layout: &[usize]) -> Option<[u16; 3]> {
    let mut numbers = [0; 3];
    let mut rest = digits;
    for (number, length) in numbers.iter_mut().zip(layout) {
        let (head, tail) = rest.split_at_checked(*length)?;
        if !head.is_empty() {
            *number = head.parse().ok()?;
        }
        rest = tail;
    }
    Some(numbers)
}

/// Without the year, the 29th of February exists.
fn is_day(day: u16, month: u16) -> bool {
    let longest = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    is_month(month) && (1..=longest).contains(&day)
}

fn is_month(month: u16) -> bool {
    (1..=12).contains(&month)
}

fn is_year(year: u16) -> bool {
    (1900..2100).contains(&year)
}
