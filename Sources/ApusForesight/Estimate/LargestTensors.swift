import ApusCore
import ApusProgram

/// Tensors of one kind, such as a certain activation of every layer.
package struct TensorGroup: Hashable, Sendable {
  /// The name with `*` for the number of the layer.
  package let name: String
  package let role: Role
  /// Bytes of one.
  package let size: ByteCount
  package let count: Int
}

extension MemoryEstimate {
  /// The largest tensors, by the size of one, equal ones of different layers together.
  ///
  /// Weights are listed one by one; their gradients and moments are as large, so they are not. Activations
  /// that lie in one place because an operation works in place are listed each.
  package func largestTensors(_ limit: Int) -> [TensorGroup] {
    struct Key: Hashable {
      var name: String
      var role: Role
      var bytes: Int
    }
    var counts: [Key: Int] = [:]
    for parameter in program.parameters {
      counts[
        Key(name: Self.general(parameter.name), role: .parameter, bytes: parameter.tensor.byteCount),
        default: 0] += 1
    }
    for (index, storage) in program.storages.enumerated() {
      switch storage.role {
      case .parameter, .gradient, .optimizerState: continue
      case .activation, .communication, .workspace, .input, .result, .cache:
        guard plan.offsets[index] != nil else { continue }
        counts[
          Key(name: Self.general(storage.name), role: storage.role, bytes: storage.byteCount), default: 0] +=
          1
      }
    }
    for segment in program.segments {
      for (index, instruction) in segment.instructions.enumerated() {
        guard let place = plan.workspace(segment.kind, index) else { continue }
        let name = "\(Self.general(instruction.label)) \(instruction.op.name), \(segment.kind)"
        counts[Key(name: name, role: .workspace, bytes: place.byteCount), default: 0] += 1
      }
    }
    let sorted = counts.sorted { a, b in
      (b.key.bytes, a.key.name, a.key.role.rawValue) < (a.key.bytes, b.key.name, b.key.role.rawValue)
    }
    return sorted.prefix(limit).map {
      TensorGroup(name: $0.key.name, role: $0.key.role, size: ByteCount($0.key.bytes), count: $0.value)
    }
  }

  /// `transformer.h.3.mlp` and `layer 3 attention` without their number.
  private static func general(_ name: String) -> String {
    name.split(separator: " ", omittingEmptySubsequences: false).map { word in
      word.split(separator: ".", omittingEmptySubsequences: false)
        .map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
    }.joined(separator: " ")
  }
}
