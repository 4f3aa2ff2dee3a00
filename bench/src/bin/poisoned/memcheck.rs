//! Requests to valgrind: a sequence of instructions that changes nothing, which valgrind recognises.
//!
//! Source: `valgrind.h` and `memcheck.h` of valgrind 3.19.

use std::arch::asm;
use std::hint::black_box;

/// Tells whether valgrind runs us.
pub(crate) fn is_watching() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0) != 0
}

/// Marks bytes as secret: as if they had never been written.
pub(crate) fn poison(bytes: &mut [u8]) {
    request(MAKE_MEM_UNDEFINED, bytes.as_ptr() as usize, bytes.len());
    black_box(bytes);
}

/// As [`poison`], for bytes that others look at, too. Their values stay what they are.
pub(crate) fn poison_shared(bytes: &[u8]) {
    request(MAKE_MEM_UNDEFINED, bytes.as_ptr() as usize, bytes.len());
    black_box(bytes);
}

/// Marks bytes as public.
pub(crate) fn clean(bytes: &mut [u8]) {
    request(MAKE_MEM_DEFINED, bytes.as_ptr() as usize, bytes.len());
    black_box(bytes);
}

/// Returns how many reports there have been so far, repeated ones counted.
pub(crate) fn reports() -> usize {
    request(COUNT_ERRORS, 0, 0)
}

fn request(code: usize, first: usize, second: usize) -> usize {
    let arguments = [code, first, second, 0, 0, 0];
    let mut result = 0_usize;
    // SAFETY: the rotations add up to 128 bits and the exchange is of a register with itself: without valgrind nothing
    // happens. With it, `arguments` is read, and the marks of memory change, not its bytes.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            inout("rdx") result,
            in("rax") arguments.as_ptr(),
            inout("rdi") 0_usize => _,
        );
    }
    result
}

const RUNNING_ON_VALGRIND: usize = 0x1001;
const COUNT_ERRORS: usize = 0x1201;
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;
const MAKE_MEM_DEFINED: usize = 0x4d43_0002;
