/// A protocol-buffers message as it is written: each field a key (number and wire type) and a value.
///
/// Only the four wire forms that an event needs. Source: "Protocol Buffers: Encoding".
struct ProtobufMessage {
  private(set) var bytes: [UInt8] = []

  /// `int64` or an enum's number, wire type 0.
  mutating func add(field: Int, integer: Int) {
    key(field, wireType: 0)
    variableLength(UInt64(bitPattern: Int64(integer)))
  }

  /// `double`, wire type 1.
  mutating func add(field: Int, double: Double) {
    key(field, wireType: 1)
    withUnsafeBytes(of: double.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// `float`, wire type 5.
  mutating func add(field: Int, float: Float) {
    key(field, wireType: 5)
    withUnsafeBytes(of: float.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// `string`, wire type 2.
  mutating func add(field: Int, string: String) { add(field: field, content: Array(string.utf8)) }

  /// A message within the message, wire type 2.
  mutating func add(field: Int, message: ProtobufMessage) { add(field: field, content: message.bytes) }

  private mutating func add(field: Int, content: [UInt8]) {
    key(field, wireType: 2)
    variableLength(UInt64(content.count))
    bytes.append(contentsOf: content)
  }

  private mutating func key(_ field: Int, wireType: Int) {
    variableLength(UInt64(field << 3 | wireType))
  }

  /// Seven bits a byte, the lowest first, the top bit set on all but the last.
  private mutating func variableLength(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
