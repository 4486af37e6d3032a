//! Counts allocations of a thread. A benchmark installs [`Counting`] as its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what it is asked for.
pub struct Counting;

// Safety: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(place, layout, size) }
    }
}

fn count() {
    let _ = COUNT.try_with(|n| n.set(n.get() + 1));
}

/// Returns how many allocations this thread has made.
pub fn so_far() -> u64 {
    COUNT.with(Cell::get)
}
