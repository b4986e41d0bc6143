import ApusCore

/// An open-addressing hash table from byte strings to 64-bit values. It copies its keys into one buffer and
/// compares full 64-bit hashes before bytes. Half of the slots stay empty.
struct ByteStringTable: ~Copyable {
  private struct Slot {
    var hash: UInt64 = 0  // 0 marks an empty slot
    var offset: UInt32 = 0
    var count: UInt32 = 0
    var value: UInt64 = 0
  }

  private var slots: UnsafeMutablePointer<Slot>
  private var shift: UInt64
  private var mask: Int
  private var keys: UnsafeMutablePointer<UInt8>
  private var keyCapacity: Int
  /// Bytes of all keys together.
  private(set) var keyByteCount = 0
  /// Keys in the table.
  private(set) var count = 0

  init(minimumCapacity: Int = 1024) {
    var bits = 4
    while 1 << bits < minimumCapacity * 2 { bits += 1 }
    slots = .allocate(capacity: 1 << bits)
    slots.initialize(repeating: Slot(), count: 1 << bits)
    shift = UInt64(64 - bits)
    mask = 1 << bits - 1
    keyCapacity = 8 << bits
    keys = .allocate(capacity: keyCapacity)
  }

  deinit {
    slots.deallocate()
    keys.deallocate()
  }

  /// The hash that the other calls take; never 0. Multiply and fold, eight bytes at a time.
  @inline(__always)
  static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(bytes)
    var state = UInt64(truncatingIfNeeded: count) &* 0x9e37_79b9_7f4a_7c15
    var offset = 0
    while count - offset > 8 {
      state = fold(state ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
    }
    let rest = count - offset
    var tail: UInt64 = 0
    if rest >= 4 {
      let low = raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      let high = raw.loadUnaligned(fromByteOffset: offset + rest - 4, as: UInt32.self)
      tail = UInt64(high) << 32 | UInt64(low)
    } else if rest > 0 {
      tail =
        UInt64(bytes[offset]) | UInt64(bytes[offset + rest / 2]) << 8 | UInt64(bytes[offset + rest - 1]) << 16
    }
    return fold(state ^ tail) | 1
  }

  @inline(__always)
  private static func fold(_ x: UInt64) -> UInt64 {
    let product = (x ^ 0xa076_1d64_78bd_642f).multipliedFullWidth(by: 0xe703_7ed1_a0b4_28db)
    return product.high ^ product.low
  }

  /// The value of a key, or nil.
  @inline(__always)
  func value(of bytes: UnsafePointer<UInt8>, _ count: Int, hash: UInt64) -> UInt64? {
    let index = slot(of: bytes, count, hash: hash)
    return slots[index].hash == 0 ? nil : slots[index].value
  }

  /// Sets the value of a key, new or old.
  mutating func insert(_ bytes: UnsafePointer<UInt8>, _ count: Int, hash: UInt64, value: UInt64) {
    let index = slot(of: bytes, count, hash: hash)
    if slots[index].hash != 0 {
      slots[index].value = value
      return
    }
    require(keyByteCount + count < Int(UInt32.max), "ByteStringTable: keys beyond 4 GiB")
    if keyByteCount + count > keyCapacity { growKeys(toHold: keyByteCount + count) }
    (keys + keyByteCount).update(from: bytes, count: count)
    slots[index] = Slot(hash: hash, offset: UInt32(keyByteCount), count: UInt32(count), value: value)
    keyByteCount += count
    self.count += 1
    if self.count * 2 > mask { growSlots() }
  }

  /// Forgets all keys and keeps the memory.
  mutating func removeAll() {
    slots.update(repeating: Slot(), count: mask + 1)
    (keyByteCount, count) = (0, 0)
  }

  /// Calls the body with every key's bytes and value, in no particular order.
  func forEachEntry(_ body: (UnsafeBufferPointer<UInt8>, UInt64) -> Void) {
    for index in 0...mask where slots[index].hash != 0 {
      let slot = slots[index]
      body(UnsafeBufferPointer(start: keys + Int(slot.offset), count: Int(slot.count)), slot.value)
    }
  }

  @inline(__always)
  private func slot(of bytes: UnsafePointer<UInt8>, _ count: Int, hash: UInt64) -> Int {
    var index = Int(truncatingIfNeeded: hash >> shift)
    while slots[index].hash != 0 {
      if slots[index].hash == hash, slots[index].count == count,
        equal(keys + Int(slots[index].offset), bytes, count)
      {
        break
      }
      index = (index + 1) & mask
    }
    return index
  }

  @inline(__always)
  private func equal(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    let (x, y) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
    var offset = 0
    while count - offset >= 8 {
      if x.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        != y.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      {
        return false
      }
      offset += 8
    }
    while offset < count {
      if a[offset] != b[offset] { return false }
      offset += 1
    }
    return true
  }

  private mutating func growKeys(toHold needed: Int) {
    let capacity = max(needed, keyCapacity * 2)
    let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    grown.update(from: keys, count: keyByteCount)
    keys.deallocate()
    (keys, keyCapacity) = (grown, capacity)
  }

  private mutating func growSlots() {
    let (old, oldCount) = (slots, mask + 1)
    mask = oldCount * 2 - 1
    shift -= 1
    slots = .allocate(capacity: mask + 1)
    slots.initialize(repeating: Slot(), count: mask + 1)
    for index in 0..<oldCount where old[index].hash != 0 {
      var place = Int(truncatingIfNeeded: old[index].hash >> shift)
      while slots[place].hash != 0 { place = (place + 1) & mask }
      slots[place] = old[index]
    }
    old.deallocate()
  }
}
