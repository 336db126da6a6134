//! QR codes as text: two modules per character, black on white whatever the terminal's colours are.
//!
//! Callers: `paraphe clerk activate`, `paraphe admin operator add`, the demo.

use clap::builder::styling::{AnsiColor, Style};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::error::{Error, Result};

/// `content` as a QR code with its quiet zone, one line per two rows of modules, each line styled black on white.
///
/// # Errors
/// [`Error::Invalid`] `qr.too_long` when the content does not fit a QR code.
pub fn render(content: &str) -> Result<String> {
    let code = QrCode::with_error_correction_level(content, EcLevel::L)
        .map_err(|_| Error::invalid("qr.too_long", "The content is too long for a QR code."))?;
    let picture = code.render::<Dense1x2>().quiet_zone(true).build();
    let style = Style::new()
        .fg_color(Some(AnsiColor::Black.into()))
        .bg_color(Some(AnsiColor::BrightWhite.into()));
    Ok(picture
        .lines()
        .map(|line| format!("{style}{line}{style:#}\n"))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn an_activation_fits_eighty_columns_and_twenty_nine_lines() {
        let uri = format!(
            "paraphe:1:{}:{}:https://confirm.paraphe.example",
            "A".repeat(28),
            "B".repeat(44)
        );
        let text = anstream::adapter::strip_str(&render(&uri).unwrap()).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        assert!(text.lines().count() <= 29, "{}", text.lines().count());
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(
            widths.iter().all(|width| *width == widths[0]),
            "a QR code is a square"
        );
    }

    #[test]
    fn too_long_a_content_is_a_named_error() {
        assert_eq!(render(&"x".repeat(5000)).unwrap_err().code(), "qr.too_long");
    }
}
