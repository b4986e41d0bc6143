import ApusCore
import Foundation

/// The memory of one rank: a single mapping, made before step 1, that the plan divides.
///
/// Only backends turn its base into pointers. Pages that no instruction touches cost nothing.
package struct Arena: ~Copyable {
  package let byteCount: Int
  let base: UnsafeMutableRawPointer
  private let mappedByteCount: Int

  /// Bytes behind the plan's end that are mapped too, so that an audit sees an access just past it.
  package static let guardByteCount = 1 << 20

  package init(byteCount: Int) throws(RuntimeFailure) {
    self.byteCount = byteCount
    mappedByteCount = byteCount + Self.guardByteCount
    let address = mmap(
      nil, mappedByteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | Int32(MAP_NORESERVE), -1, 0)
    guard let address, address != MAP_FAILED else {
      throw .mapping(bytes: byteCount, reason: String(cString: strerror(errno)))
    }
    base = address
    // Large pages save address translation; where the kernel has none the advice is refused and harmless.
    madvise(base, mappedByteCount, Int32(MADV_HUGEPAGE))
  }

  deinit { munmap(base, mappedByteCount) }
}
