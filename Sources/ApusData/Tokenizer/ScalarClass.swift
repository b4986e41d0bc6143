/// What pre-tokenisation needs to know about a Unicode scalar.
///
/// The classes follow Unicode 16, as the regular expressions of the `tokenizers` library (0.23) do: scalars
/// that a later Unicode version added count as `other`.
enum ScalarClass {
  static let other: UInt8 = 0
  static let letter: UInt8 = 1  // \p{L}
  static let number: UInt8 = 2  // \p{N}
  static let space: UInt8 = 3  // \s, which is White_Space

  /// Letters and numbers all lie below this scalar.
  static let limit: UInt32 = 0x34000

  /// The class of each scalar below `limit`; built once, in some 20 ms.
  static let table: [UInt8] = (0..<limit).map { Unicode.Scalar($0).map(classify) ?? other }

  private static func classify(_ scalar: Unicode.Scalar) -> UInt8 {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return isKnown(properties) ? letter : other
    case .decimalNumber, .letterNumber, .otherNumber:
      return isKnown(properties) ? number : other
    default:
      return properties.isWhitespace ? space : other
    }
  }

  private static func isKnown(_ properties: Unicode.Scalar.Properties) -> Bool {
    guard let age = properties.age else { return false }
    return age.major < 16 || (age.major == 16 && age.minor == 0)
  }

  /// `\w` as the added-token rules of the `tokenizers` library mean it (UTS 18, annex C).
  static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    guard isKnown(properties) else { return false }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
    default: return properties.isAlphabetic || scalar.value == 0x200c || scalar.value == 0x200d
    }
  }
}

/// A UTF-8 text seen as classes of scalars. Bytes that are not UTF-8 count as `other`, one at a time.
struct ClassifiedText {
  let bytes: UnsafePointer<UInt8>
  let end: Int
  private let table: UnsafePointer<UInt8>

  init(bytes: UnsafePointer<UInt8>, end: Int, table: UnsafePointer<UInt8>) {
    (self.bytes, self.end, self.table) = (bytes, end, table)
  }

  /// The class and the byte count of the scalar at a position before `end`.
  @inline(__always)
  func scalar(at position: Int) -> (class: UInt8, count: Int) {
    let first = bytes[position]
    if first < 0x80 { return (table[Int(first)], 1) }
    return longScalar(first, at: position)
  }

  @inline(never)
  private func longScalar(_ first: UInt8, at position: Int) -> (class: UInt8, count: Int) {
    let (value, count) = decodeScalar(bytes, at: position, end: end)
    return (value < ScalarClass.limit ? table[Int(value)] : ScalarClass.other, count)
  }

  /// The end of the run of that class which starts at a position.
  @inline(__always)
  func endOfRun(_ kind: UInt8, from start: Int) -> Int {
    var position = start
    while position < end {
      let (next, count) = scalar(at: position)
      if next != kind { break }
      position += count
    }
    return position
  }
}

/// The value and the byte count of the UTF-8 scalar at a position; (0x10FFFF, 1) where the bytes are not
/// UTF-8.
@inline(__always)
func decodeScalar(_ bytes: UnsafePointer<UInt8>, at position: Int, end: Int) -> (value: UInt32, count: Int) {
  let first = UInt32(bytes[position])
  if first < 0x80 { return (first, 1) }
  let count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  guard first >= 0xc2, first < 0xf5, position + count <= end else { return (0x10ffff, 1) }
  var value = first & (0x7f >> UInt32(count))
  for index in 1..<count {
    let byte = UInt32(bytes[position + index])
    guard byte & 0xc0 == 0x80 else { return (0x10ffff, 1) }
    value = value << 6 | (byte & 0x3f)
  }
  return (value, count)
}
