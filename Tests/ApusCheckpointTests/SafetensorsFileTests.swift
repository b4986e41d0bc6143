import ApusCheckpoint
import Foundation
import Testing

@Suite struct SafetensorsFileTests {
  @Test func readsWhatPythonWroteInEveryType() throws {
    let file = try SafetensorsFile(path: fixture("types.safetensors").path)
    #expect(file.metadata == ["format": "pt", "note": "quotes \" and \u{e9}"])
    for type in ["F32", "F64", "BF16", "F16"] {
      let found = try file.numbers(type)
      let expected = try file.numbers(type + ".as-float32")
      #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(type)")
      #expect(found.count == 11 && abs(found[2] - 1) < 1e-6)
      #expect(try file.numbers(type, 3..<5) == Array(expected[3..<5]))
    }
    #expect(try file.numbers("scalar") == [7])
    #expect(try file.numbers("empty") == [])
    #expect(try file.entry("empty").shape == [0, 3])
    #expect(throws: CheckpointError.unreadableType(name: "I64", type: "I64", path: file.path)) {
      try file.numbers("I64")
    }
    #expect(throws: CheckpointError.tensorNotFound(name: "absent", path: file.path)) {
      try file.numbers("absent")
    }
    #expect(throws: CheckpointError.self) { try file.numbers("F32", 5..<12) }
    let bytes = try file.withBytes(of: "I64") { Array($0) }
    #expect(bytes.count == 32 && bytes[0] == 1 && bytes[24] == 4)
  }

  @Test func everyHalfConvertsExactly() {
    for bits in UInt16.min...UInt16.max {
      let found = float32(float16: bits)
      let expected = Float(Float16(bitPattern: bits))
      if expected.isNaN {
        #expect(found.isNaN)
      } else if found.bitPattern != expected.bitPattern {
        Issue.record("binary16 \(bits) became \(found), not \(expected)")
      }
    }
    #expect(float32(bfloat16: 0x3FC0) == 1.5 && float32(bfloat16: 0x8000).sign == .minus)
  }

  /// Every bfloat16 is its own nearest; halfway to the next it is the even one, beyond that the next.
  @Test func everyNumberRoundsToTheNearestBFloat16() {
    for bits in UInt16.min...UInt16.max where bits & 0x7F80 != 0x7F80 {
      let exact = UInt32(bits) << 16
      let found = [0, 0x7FFF, 0x8000, 0x8001].map { bfloat16Bits(of: Float(bitPattern: exact + $0)) }
      if found != [bits, bits, bits + bits % 2, bits + 1] {
        Issue.record("bfloat16 \(bits) and the numbers above it became \(found)")
      }
    }
    #expect(bfloat16Bits(of: .infinity) == 0x7F80 && bfloat16Bits(of: -.infinity) == 0xFF80)
    #expect(bfloat16Bits(of: .greatestFiniteMagnitude) == 0x7F80)
    #expect(float32(bfloat16: bfloat16Bits(of: Float(bitPattern: 0x7F80_0001))).isNaN)
  }

  @Test func everyMalformedHeaderIsNamed() throws {
    let scratch = Scratch()
    func entry(_ begin: Int, _ end: Int, shape: String = "[2]", type: String = "F32") -> String {
      "{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
    }
    func fault(_ bytes: [UInt8]) throws -> SafetensorsFault? {
      let path = try scratch.write(bytes, "bad.safetensors")
      do {
        _ = try SafetensorsFile(path: path)
        return nil
      } catch CheckpointError.malformedTensorFile(path, let fault) {
        return fault
      }
    }
    #expect(try fault([]) == .tooShort(bytes: 0))
    #expect(try fault([1, 2, 3, 4, 5, 6, 7]) == .tooShort(bytes: 7))
    #expect(try fault(tensorFile(header: "")) == .emptyHeader)
    #expect(
      try fault(tensorFile(header: "{}", claimedLength: 3)) == .headerBeyondFile(length: 3, fileBytes: 10))
    #expect(
      try fault(tensorFile(header: "{}", claimedLength: .max))
        == .headerTooLong(length: .max, limit: 100_000_000))
    #expect(try fault(tensorFile(header: "{]")) == .notJSON(problem: "expected a key", offset: 1))
    #expect(try fault(tensorFile(header: "{}x")) != nil)
    #expect(try fault(tensorFile(header: "[]")) == .notAnObject)
    #expect(try fault(tensorFile(header: "{}  ")) == nil)
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8)),\"a\":\(entry(8, 16))}", data: 16))
        == .duplicateKey("a"))
    #expect(
      try fault(tensorFile(header: "{\"__metadata__\":3}")) == .invalidMetadata(problem: "is not an object"))
    #expect(try fault(tensorFile(header: "{\"__metadata__\":{\"a\":3}}")) != nil)
    #expect(
      try fault(tensorFile(header: "{\"a\":3}")) == .invalidEntry(name: "a", problem: "is not an object"))
    #expect(
      try fault(tensorFile(header: "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", data: 8))
        == .invalidEntry(name: "a", problem: "has no data_offsets of two whole numbers"))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8, type: "F31"))}", data: 8))
        == .unknownType(name: "a", type: "F31"))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(-8, 0))}", data: 8))
        == .invalidEntry(name: "a", problem: "has negative data_offsets [-8, 0]"))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(8, 0))}", data: 8))
        == .reversedOffsets(name: "a", begin: 8, end: 0))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8))}", data: 7))
        == .offsetsBeyondFile(name: "a", end: 8, dataBytes: 7))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8, shape: "[3]"))}", data: 8))
        == .sizeMismatch(name: "a", offsetBytes: 8, shapeBytes: 12))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8, shape: "[-2]"))}", data: 8))
        == .invalidEntry(name: "a", problem: "has no shape of non-negative whole numbers"))
    #expect(try fault(tensorFile(header: "{\"a\":\(entry(0, 8, shape: "[2.0]"))}", data: 8)) != nil)
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8, shape: "[4294967296,4294967296]"))}", data: 8))
        == .shapeOverflow(name: "a", shape: [4_294_967_296, 4_294_967_296]))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8)),\"b\":\(entry(4, 12))}", data: 12))
        == .overlap(first: "a", second: "b", begin: 4, firstEnd: 8))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8)),\"b\":\(entry(12, 20))}", data: 20))
        == .hole(before: "b", from: 8, to: 12))
    #expect(
      try fault(tensorFile(header: "{\"a\":\(entry(0, 8))}", data: 9))
        == .trailingBytes(used: 8, dataBytes: 9))
    #expect(try fault(tensorFile(header: String(repeating: "[", count: 100_000))) != nil)
    #expect(throws: CheckpointError.self) { try SafetensorsFile(path: scratch.path("absent")) }
    #expect(throws: CheckpointError.self) { try SafetensorsFile(path: scratch.url.path) }
  }

  /// Whatever happens to a file's bytes, it opens or throws one of our errors, and never crashes.
  @Test func damagedFilesNeverCrash() throws {
    let scratch = Scratch()
    let sound = try Data(contentsOf: fixture("types.safetensors"))
    var random = Sequence64(state: 7)
    var refused = 0
    for _ in 0..<600 {
      var bytes = Array(sound)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        // Mostly in the header, where it matters.
        let position = Int.random(in: 0..<(Bool.random(using: &random) ? bytes.count : 1000), using: &random)
        bytes[position] = UInt8.random(in: 0...255, using: &random)
      }
      if Int.random(in: 0..<4, using: &random) == 0 {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      }
      let path = try scratch.write(bytes, "fuzz.safetensors")
      do throws(CheckpointError) {
        let file = try SafetensorsFile(path: path)
        for (name, entry) in file.tensors where entry.type.isReadableAsFloat32 {
          do { _ = try file.numbers(name) } catch { Issue.record("\(name): \(error)") }
        }
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(refused > 200 && refused < 600)
  }
}
