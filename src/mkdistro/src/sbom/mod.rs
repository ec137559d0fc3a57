//! What is in an image and under which terms: its bill of materials.

pub mod copyright;
pub mod license;
