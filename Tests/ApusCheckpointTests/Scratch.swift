import ApusCheckpoint
import Foundation

/// A folder of its own for one test, removed when the last reference goes.
final class Scratch {
  let url: URL

  init() {
    url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "apus-checkpoint-\(UUID().uuidString)")
    try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appendingPathComponent(name).path }

  func names(_ folder: String = "") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path(folder)).sorted()
  }

  @discardableResult
  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Data(bytes).write(to: url.appendingPathComponent(name))
    return path(name)
  }

  func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: url.appendingPathComponent(name)))
  }
}

/// A folder or file beside this source.
func fixture(_ name: String, file: String = #filePath) -> URL {
  URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Fixtures/" + name)
}

/// The bytes of a safetensors file with a header as written here, whatever it says.
func tensorFile(header: String, data: Int = 0, claimedLength: UInt64? = nil) -> [UInt8] {
  let json = Array(header.utf8)
  let length = claimedLength ?? UInt64(json.count)
  return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + json
    + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}

/// Reads a whole tensor.
func numbers(_ name: String, in source: some TensorSource) throws -> [Float] {
  let shape = try source.shape(of: name)
  return try slice(name, shape.map { _ in 0 }, shape, in: source)
}

/// Reads a slice.
func slice(_ name: String, _ start: [Int], _ extents: [Int], in source: some TensorSource) throws -> [Float] {
  var result = [Float](repeating: -77, count: extents.reduce(1, *))
  let caught: CheckpointError? = result.withUnsafeMutableBufferPointer { buffer in
    do throws(CheckpointError) {
      if let base = buffer.baseAddress { try source.read(name, into: base, start: start, extents: extents) }
      return nil
    } catch { return error }
  }
  if let caught { throw caught }
  return result
}

extension SafetensorsFile {
  /// All elements of a tensor, or some.
  func numbers(_ name: String, _ elements: Range<Int>? = nil) throws -> [Float] {
    let count = try elements?.count ?? entry(name).elementCount
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(1, count))
    defer { buffer.deallocate() }
    try read(name, into: buffer.baseAddress!, elements: elements)
    return Array(buffer[..<count])
  }
}

/// The line of the `CheckpointError` that `body` throws, or an empty one if it throws none.
func message(_ body: () throws -> Void) -> String {
  do {
    try body()
    return ""
  } catch {
    return (error as? CheckpointError)?.description ?? "not a CheckpointError: \(error)"
  }
}

/// The same random numbers in every run (Steele et al. 2014, "SplitMix").
struct Sequence64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
