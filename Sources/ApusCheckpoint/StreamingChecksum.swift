/// XXH64 with seed 0 over bytes that arrive in parts: a 64-bit checksum of good dispersion that finds torn
/// and flipped bytes at the speed of memory. Not against an adversary.
///
/// Source: Collet, "xxHash fast digest algorithm", specification 0.1.1, section "XXH64 algorithm".
package struct StreamingChecksum {
  private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

  /// The name under which a manifest records the algorithm.
  package static let algorithm = "xxh64"

  private var lanes: (UInt64, UInt64, UInt64, UInt64)
  /// Bytes that do not fill a stripe of 32 yet.
  private var pending: [UInt8] = []
  private var total: UInt64 = 0

  package init() {
    let (p1, p2) = (StreamingChecksum.prime1, StreamingChecksum.prime2)
    lanes = (p1 &+ p2, p2, 0, 0 &- p1)
    pending.reserveCapacity(32)
  }

  /// The checksum of bytes that lie together.
  package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var checksum = StreamingChecksum()
    checksum.update(bytes)
    return checksum.value
  }

  /// Takes the next bytes in.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    total &+= UInt64(bytes.count)
    var start = 0
    if !pending.isEmpty {
      start = min(32 - pending.count, bytes.count)
      pending.append(contentsOf: bytes[..<start])
      guard pending.count == 32 else { return }
      let stripe = pending
      stripe.withUnsafeBytes { consume($0.baseAddress!, stripes: 1) }
      pending.removeAll(keepingCapacity: true)
    }
    let stripes = (bytes.count - start) / 32
    if stripes > 0 {
      consume(bytes.baseAddress! + start, stripes: stripes)
      start += stripes * 32
    }
    pending.append(contentsOf: bytes[start...])
  }

  private mutating func consume(_ bytes: UnsafeRawPointer, stripes: Int) {
    var (a, b, c, d) = lanes
    var cursor = bytes
    for _ in 0..<stripes {
      a = StreamingChecksum.round(a, cursor.loadUnaligned(as: UInt64.self))
      b = StreamingChecksum.round(b, cursor.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      c = StreamingChecksum.round(c, cursor.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
      d = StreamingChecksum.round(d, cursor.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
      cursor += 32
    }
    lanes = (a, b, c, d)
  }

  /// The checksum of all bytes so far.
  package var value: UInt64 {
    let (p1, p2, p3) = (StreamingChecksum.prime1, StreamingChecksum.prime2, StreamingChecksum.prime3)
    let (p4, p5) = (StreamingChecksum.prime4, StreamingChecksum.prime5)
    var hash: UInt64
    if total < 32 {
      hash = p5
    } else {
      let (a, b, c, d) = lanes
      hash = rotated(a, 1) &+ rotated(b, 7) &+ rotated(c, 12) &+ rotated(d, 18)
      for lane in [a, b, c, d] { hash = (hash ^ StreamingChecksum.round(0, lane)) &* p1 &+ p4 }
    }
    hash &+= total
    pending.withUnsafeBytes { rest in
      var i = 0
      while i + 8 <= rest.count {
        let word = rest.loadUnaligned(fromByteOffset: i, as: UInt64.self)
        hash = rotated(hash ^ StreamingChecksum.round(0, word), 27) &* p1 &+ p4
        i += 8
      }
      if i + 4 <= rest.count {
        let word = UInt64(rest.loadUnaligned(fromByteOffset: i, as: UInt32.self))
        hash = rotated(hash ^ word &* p1, 23) &* p2 &+ p3
        i += 4
      }
      while i < rest.count {
        hash = rotated(hash ^ UInt64(rest[i]) &* p5, 11) &* p1
        i += 1
      }
    }
    hash = (hash ^ hash >> 33) &* p2
    hash = (hash ^ hash >> 29) &* p3
    return hash ^ hash >> 32
  }

  /// `value` as sixteen hexadecimal digits.
  package var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  @inline(__always)
  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotated(lane &+ word &* prime2, 31) &* prime1
  }
}

@inline(__always)
private func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { word &<< count | word &>> (64 &- count) }
