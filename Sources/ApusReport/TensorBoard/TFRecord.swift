/// One record of a TensorFlow record file: length (8 bytes), masked CRC of those, the data, masked CRC
/// of the data; numbers little-endian.
///
/// Source: TensorFlow guide, "TFRecord and tf.train.Example", section "TFRecords format details".
package enum TFRecord {
  package static func frame(_ data: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(data.count))
    return length + littleEndian(CRC32C.masked(length)) + data + littleEndian(CRC32C.masked(data))
  }

  private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
