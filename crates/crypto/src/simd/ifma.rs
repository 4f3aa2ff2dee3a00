//! Eight big numbers at once, with the 52-bit multipliers of AVX-512 IFMA.

/// Tells whether this processor has the multipliers.
pub(crate) fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    let available = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    let available = false;
    available
}
