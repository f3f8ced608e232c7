//! What the kernel says of the pages of this process: `/proc/self/smaps`, read and sorted into what the pages are for.
//!
//! | Mapping | is |
//! |---|---|
//! | of a file, behind one (its zeroed data), of the kernel or of a device | the program |
//! | `[stack]`, and those that hold an address of a thread's stack | a stack |
//! | `[heap]`, and all others that have no name and can be written | the allocator's |

use std::ops::Range;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<'a> {
    pub place: Range<u64>,
    pub writable: bool,
    /// A path, a word in brackets, or nothing.
    pub name: &'a str,
    /// Bytes of its pages that are in memory.
    pub resident: u64,
}

/// The mappings that the text of `smaps` tells of, in the order of their addresses. What cannot be read is left out.
pub fn regions(smaps: &str) -> Vec<Region<'_>> {
    let mut regions: Vec<Region<'_>> = Vec::new();
    for line in smaps.lines() {
        if let Some(region) = head(line) {
            regions.push(region);
        } else if let (Some(size), Some(region)) = (line.strip_prefix("Rss:"), regions.last_mut()) {
            region.resident = kilobytes(size).unwrap_or(0);
        }
    }
    regions
}

/// `7f12c0000000-7f12c0021000 rw-p 00000000 00:00 0    [heap]`.
fn head(line: &str) -> Option<Region<'_>> {
    let (place, rest) = line.split_once(' ')?;
    let (begin, end) = place.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let place = hex(begin)?..hex(end)?;
    let (rights, mut rest) = rest.split_once(' ')?;
    for _ in 0..2 {
        rest = rest.split_once(' ')?.1;
    }
    let name = rest.split_once(' ').map_or("", |(_, name)| name.trim());
    Some(Region { place, writable: rights.starts_with("rw"), name, resident: 0 })
}

fn kilobytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The pages of the process by what they are for; all in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    pub program: u64,
    pub stacks: u64,
    pub threads: u64,
    /// Addresses that the allocator has from the system, and how many bytes of them are in memory.
    pub heap: u64,
    pub heap_resident: u64,
}

impl Resident {
    pub fn all(&self) -> u64 {
        self.program + self.stacks + self.heap_resident
    }
}

/// `stacks`: an address in the stack of each thread. `present`: how many bytes of a range are in memory, if that can be found
/// out; a stack may be one mapping with what the allocator has behind it.
pub fn resident(
    regions: &[Region<'_>],
    stacks: &[u64],
    present: &mut dyn FnMut(Range<u64>) -> Option<u64>,
) -> Resident {
    let mut sum = Resident::default();
    let mut file_end = 0;
    for region in regions {
        let Region { place, writable, name, resident } = region;
        let (size, has_name) = (place.end - place.start, !name.is_empty());
        let is_stack = stacks.iter().any(|address| place.contains(address));
        match *name {
            "[stack]" => {
                sum.stacks += resident;
                sum.threads += 1;
            }
            "" if *writable && is_stack => {
                let stack = place.start..place.end.min(place.start + STACK_BYTES);
                let stack_size = stack.end - stack.start;
                let taken = present(stack).unwrap_or_else(|| (*resident).min(stack_size)).min(*resident);
                sum.stacks += taken;
                sum.threads += 1;
                sum.heap += size - stack_size;
                sum.heap_resident += resident - taken;
            }
            "[heap]" => {
                sum.heap += size;
                sum.heap_resident += resident;
            }
            // The zeroed data of a program or a library lies behind what comes from its file.
            "" if *writable && place.start != file_end => {
                sum.heap += size;
                sum.heap_resident += resident;
            }
            _ => sum.program += resident,
        }
        if has_name && !name.starts_with('[') {
            file_end = place.end;
        }
    }
    sum
}

/// What a thread's stack may grow to, as Rust makes them.
const STACK_BYTES: u64 = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d000000000-55d000100000 r-xp 00000000 fe:00 1234                       /usr/bin/encke (deleted)
Size:               1024 kB
KernelPageSize:        4 kB
Rss:                 900 kB
VmFlags: rd ex mr mw me
55d000100000-55d000102000 rw-p 00100000 fe:00 1234                       /usr/bin/encke
Rss:                   8 kB
55d000102000-55d000110000 rw-p 00000000 00:00 0 ~
Rss:                  12 kB
55d001000000-55d001100000 rw-p 00000000 00:00 0                          [heap]
Rss:                 600 kB
7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ~
Rss:                 100 kB
7f0000100000-7f0004000000 ---p 00000000 00:00 0 ~
Rss:                   0 kB
7f1000001000-7f1000301000 rw-p 00000000 00:00 0 ~
Rss:                 320 kB
7f2000000000-7f2000001000 rw-s 00000000 00:0e 99                         anon_inode:[io_uring]
Rss:                   4 kB
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                  40 kB
7ffc00100000-7ffc00102000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
";

    /// Lines of mappings without a name end in a blank.
    fn smaps() -> String {
        SMAPS.replace('~', "")
    }

    #[test]
    fn mappings_are_read() {
        let text = smaps();
        let regions = regions(&text);
        assert_eq!(regions.len(), 10);
        assert_eq!(regions[0].name, "/usr/bin/encke (deleted)");
        assert_eq!((regions[0].resident, regions[0].writable), (900 * 1024, false));
        assert_eq!(
            regions[3],
            Region { place: 0x55d0_0100_0000..0x55d0_0110_0000, writable: true, name: "[heap]", resident: 600 * 1024 }
        );
        assert_eq!(super::regions("nonsense\nRss: 4 kB\nVmFlags: rd\n\u{0}-x y\n"), []);
    }

    #[test]
    fn every_page_is_of_one_kind() {
        let text = smaps();
        let regions = regions(&text);
        let mut asked = Vec::new();
        let sum = resident(&regions, &[0x7f10_0010_0000, 7], &mut |range| {
            asked.push((range.start, range.end));
            Some(20 * 1024)
        });
        assert_eq!(asked, [(0x7f10_0000_1000, 0x7f10_0020_1000)], "no more than a stack has");
        let expected = Resident {
            program: (900 + 8 + 12 + 4 + 4) * 1024,
            stacks: (20 + 40) * 1024,
            threads: 2,
            heap: 0x10_0000 * 2 + 0x10_0000,
            heap_resident: (600 + 100 + 300) * 1024,
        };
        assert_eq!(sum, expected);
        assert_eq!(sum.all(), regions.iter().map(|region| region.resident).sum::<u64>());
        let unknown = resident(&regions, &[0x7f10_0010_0000], &mut |_| None);
        assert_eq!((unknown.stacks, unknown.all()), ((320 + 40) * 1024, sum.all()));
    }
}
