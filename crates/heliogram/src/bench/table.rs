//! Results as people read them.

/// Says what is measured next.
pub(crate) fn progress(what: &str) {
    eprintln!("measuring {what} …");
}

/// Begins a table.
pub(crate) fn heading(title: &str, peer: &str) {
    println!();
    println!(
        "{title:<52} {:>12} {:>12} {:>7}  target",
        "heliogram", peer, "ratio"
    );
}

/// Prints a figure that has no peer.
pub(crate) fn figure(what: &str, value: f64, unit: &str) {
    println!("{what:<52} {value:>12.0} {unit}");
}

/// Prints a figure beside its peer's, and what their ratio should be.
pub(crate) fn compare(what: &str, ours: f64, peer: f64, target: &str) {
    let ratio = ours / peer;
    println!("{what:<52} {ours:>12.0} {peer:>12.0} {ratio:>7.2}  {target}");
}

/// Returns the middle of some figures, which it sorts; zero if there are none.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_an_outlier() {
        assert_eq!(median(&mut [3.0, 1000.0, 1.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(&mut []).to_bits(), 0.0_f64.to_bits());
    }
}
