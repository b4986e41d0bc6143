import ApusCore
import ApusProgram

/// What forward keeps for backward in a recorded program: everything written in the forward segment that an
/// instruction of the backward segment reads. No operation declares it (domain reference S13).
package struct SavedActivations: Hashable, Sendable {
  /// One kept tensor.
  package struct Item: Hashable, Sendable {
    /// Part of the layer and the operation that it was recorded with: `attention layer norm`.
    package let name: String
    package let rows, columns: Int
    package let size: ByteCount
    /// Operations of backward that read it, in order, each once.
    package let readers: [String]
  }

  /// What each layer keeps, layer by layer.
  package private(set) var layers: [[Item]] = []
  /// What stands before and behind the layers.
  package private(set) var others: [Item] = []

  package init(_ program: StepProgram) {
    guard let forward = program.segment(.forward), let backward = program.segment(.backward) else { return }
    var readers: [Int: [String]] = [:]
    for instruction in backward.instructions {
      for input in instruction.inputs where program.storages[input.storage].role == .activation {
        if readers[input.storage]?.contains(instruction.op.name) != true {
          readers[input.storage, default: []].append(instruction.op.name)
        }
      }
    }
    for instruction in forward.instructions {
      for output in instruction.outputs.map(\.tensor) {
        guard let readers = readers[output.storage] else { continue }
        // A fused instruction writes what belongs to two layers; a storage's name says to which.
        let (layer, part) = Self.place(program.storages[output.storage].name)
        let item = Item(
          name: part, rows: output.rows, columns: output.columns,
          size: ByteCount(output.byteCount), readers: readers)
        guard let layer else {
          others.append(item)
          continue
        }
        while layers.count <= layer { layers.append([]) }
        layers[layer].append(item)
      }
    }
  }

  /// Bytes that one layer keeps; every layer of Apus's models keeps the same.
  package var bytesOfLayer: ByteCount { Self.sum(layers.first ?? []) }

  package var bytes: ByteCount { ByteCount((layers + [others]).reduce(0) { $0 + Self.sum($1).bytes }) }

  private static func sum(_ items: [Item]) -> ByteCount { ByteCount(items.reduce(0) { $0 + $1.size.bytes }) }

  /// `layer 3 attention add` is (3, attention add); `final norm layer norm` is (nil, all of it).
  private static func place(_ name: String) -> (layer: Int?, part: String) {
    let words = name.split(separator: " ")
    guard words.count > 2, words[0] == "layer", let layer = Int(words[1]) else { return (nil, name) }
    return (layer, words.dropFirst(2).joined(separator: " "))
  }
}

extension MemoryEstimate {
  package var savedActivations: SavedActivations { SavedActivations(program) }
}
