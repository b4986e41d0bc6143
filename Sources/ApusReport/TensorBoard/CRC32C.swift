/// The cyclic redundancy check of TensorFlow's record files: CRC-32C, the Castagnoli polynomial.
///
/// Source: RFC 3720 (iSCSI), section 12.1 and its test vectors in appendix B.4.
package enum CRC32C {
  private static let table: [UInt32] = (0..<256).map { index in
    var value = UInt32(index)
    for _ in 0..<8 { value = (value >> 1) ^ (value & 1 == 1 ? 0x82F6_3B78 : 0) }
    return value
  }

  package static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { crc, byte in table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8) }
  }

  /// The checksum rotated right by 15 bits plus a constant: checksums of data that itself holds
  /// checksums would be weak. This is how the record format stores it.
  package static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let crc = checksum(bytes)
    return ((crc >> 15) | (crc << 17)) &+ 0xA282_EAD8
  }
}
