import ApusCore
import ApusReport

/// A table of a model's tensors in which those that differ only by the layer's number share a line.
struct TensorListing: CustomStringConvertible {
  /// One line: tensors of the same name but for numbers, shape and type.
  private struct Line: Hashable {
    let pattern: String
    let shape: [Int]
    let type: String
  }

  private var lines: [Line] = []
  private var counts: [Line: Int] = [:]
  private(set) var tensorCount = 0
  private(set) var elementCount = 0

  /// Adds a tensor; `type` is as the file names it: `F32`.
  mutating func add(_ name: String, shape: [Int], type: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let pattern = parts.map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
    let line = Line(pattern: pattern, shape: shape, type: type)
    if counts[line] == nil { lines.append(line) }
    counts[line, default: 0] += 1
    tensorCount += 1
    elementCount += shape.reduce(1, *)
  }

  var description: String {
    var table = TextTable([
      .text("tensor"), .number("count"), .text("type"), .text("shape"), .number("elements"),
    ])
    for line in lines {
      let count = counts[line] ?? 0
      table.add([
        line.pattern, String(count), line.type, "[\(line.shape.map(String.init).joined(separator: ", "))]",
        (count * line.shape.reduce(1, *)).grouped,
      ])
    }
    return table.description
  }
}

/// A tensor in the output of `--json`.
struct TensorFacts: Encodable {
  let name: String
  let type: String
  let shape: [Int]
}
