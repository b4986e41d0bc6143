import ApusCheckpoint
import Foundation
import Testing

@Suite struct SafetensorsWriterTests {
  private let tensors = [
    SafetensorsEntry(name: "b \"quoted\"", type: .float32, shape: [2, 3]),
    SafetensorsEntry(name: "a", type: .uint8, shape: [3]),
    SafetensorsEntry(name: "empty", type: .float32, shape: [0]),
    SafetensorsEntry(name: "scalar", type: .float64, shape: []),
  ]

  @Test func whatIsWrittenIsReadAgain() throws {
    let scratch = Scratch()
    let path = scratch.path("out.safetensors")
    let numbers: [Float] = [1, 2, 3, 4, 5, 6]
    var writer = try SafetensorsWriter.create(
      path, tensors: tensors, metadata: [("format", "pt"), ("line\n", "\u{1}é")])
    // One tensor in two parts.
    for part in [numbers[..<4], numbers[4...]] {
      for number in part { try append([number], to: &writer) }
    }
    try append([UInt8(7), 8, 9], to: &writer)
    try append([2.5], to: &writer)
    let (bytes, checksum) = try writer.finish()

    let contents = try scratch.read("out.safetensors")
    #expect(contents.count == bytes)
    #expect(checksum == contents.withUnsafeBytes { text(of: $0) })
    let headerLength = Int(contents[0]) | Int(contents[1]) << 8
    #expect(headerLength % 8 == 0)
    #expect(
      SafetensorsWriter.fileBytes(tensors, metadata: [("format", "pt"), ("line\n", "\u{1}é")]) == bytes)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == ["format": "pt", "line\n": "\u{1}é"])
    #expect(try file.numbers("b \"quoted\"") == numbers)
    #expect(try file.numbers("scalar") == [2.5])
    #expect(try file.withBytes(of: "a") { Array($0) } == [7, 8, 9])
  }

  @Test func anUnfinishedFileIsRemoved() throws {
    let scratch = Scratch()
    do {
      var writer = try SafetensorsWriter.create(scratch.path("half.safetensors"), tensors: tensors)
      try append([Float(1)], to: &writer)
      #expect(try scratch.names() == ["half.safetensors"])
    }
    #expect(try scratch.names() == [])
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full")))
  func aFullDiskIsOneClearErrorAndLeavesNothing() throws {
    let scratch = Scratch()
    let path = scratch.path("full.safetensors")
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
    #expect(
      throws: CheckpointError.system(
        action: "write", path: path, reason: "No space left on device (errno 28)")
    ) {
      _ = try SafetensorsWriter.create(path, tensors: tensors)
    }
    #expect(try scratch.names() == [])
  }

  @Test func aFolderThatIsNotThereIsNamed() throws {
    let path = Scratch().path("absent/file.safetensors")
    #expect(
      throws: CheckpointError.system(
        action: "create", path: path, reason: "No such file or directory (errno 2)")
    ) {
      _ = try SafetensorsWriter.create(path, tensors: tensors)
    }
  }

  @Test func checksumsMatchThePublishedAlgorithm() {
    // From the reference implementation (python-xxhash).
    let cases: [([UInt8], String)] = [
      ([], "ef46db3751d8e999"), (Array("a".utf8), "d24ec4f1a98c6e5b"),
      (Array("abc".utf8), "44bc2cf5ad770999"),
      (Array("Nobody inspects the spammish repetition".utf8), "fbcea83c8a378bf1"),
      ((0..<5).flatMap { _ in (0...255).map { UInt8($0) } } + Array("xyz".utf8), "afd18a3957d3670a"),
    ]
    for (bytes, expected) in cases {
      #expect(bytes.withUnsafeBytes { text(of: $0) } == expected)
      for part in [1, 5, 31, 32, 33, 100] {
        var checksum = StreamingChecksum()
        bytes.withUnsafeBytes { all in
          for start in stride(from: 0, to: bytes.count, by: part) {
            checksum.update(UnsafeRawBufferPointer(rebasing: all[start..<min(start + part, bytes.count)]))
          }
        }
        #expect(checksum.text == expected, "in parts of \(part)")
      }
    }
  }

  private func text(of bytes: UnsafeRawBufferPointer) -> String {
    var checksum = StreamingChecksum()
    checksum.update(bytes)
    return checksum.text
  }

  private func append<Element>(_ elements: [Element], to writer: inout SafetensorsWriter) throws {
    try elements.withUnsafeBufferPointer { try writer.append(UnsafeRawBufferPointer($0)) }
  }
}
