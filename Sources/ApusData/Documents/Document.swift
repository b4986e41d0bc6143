import ApusCore

/// One document of a corpus: its UTF-8 bytes, and the file they come from. The bytes live as long as this
/// object.
///
/// `@unchecked Sendable` because the bytes are never changed.
package final class Document: @unchecked Sendable {
  package let path: String
  package let bytes: UnsafeBufferPointer<UInt8>
  /// Whether the document is a whole text file, which a validation split may cut, or a line of JSON.
  package let isWholeFile: Bool
  private let file: MappedFile?

  init(file: MappedFile) {
    (path, bytes, isWholeFile, self.file) = (file.path, file.bytes, true, file)
  }

  init(text: String, path: String) {
    var text = text
    bytes = text.withUTF8 { utf8 in
      let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: utf8.count)
      _ = copy.initialize(from: utf8)
      return UnsafeBufferPointer(copy)
    }
    (self.path, isWholeFile, file) = (path, false, nil)
  }

  deinit { if file == nil { bytes.deallocate() } }
}

/// The offset of the first byte that is not valid UTF-8, or nil.
func firstInvalidByte(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
  guard let base = bytes.baseAddress else { return nil }
  let raw = UnsafeRawPointer(base)
  var position = 0
  while position < bytes.count {
    if position + 8 <= bytes.count,
      raw.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
    {
      position += 8
      continue
    }
    if base[position] < 0x80 {
      position += 1
      continue
    }
    let (value, count) = decodeScalar(base, at: position, end: bytes.count)
    let smallest: UInt32 = count == 2 ? 0x80 : count == 3 ? 0x800 : 0x10000
    guard count > 1, value >= smallest, Unicode.Scalar(value) != nil else { return position }
    position += count
  }
  return nil
}
