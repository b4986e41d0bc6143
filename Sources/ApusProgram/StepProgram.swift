import ApusCore

/// Fields of the control tensor: what the host decides once a step. No instruction reads a host value.
package enum Control: Int, CaseIterable, Sendable {
  case learningRate
  /// 1 - beta1^step
  case correction1
  /// 1 - beta2^step
  case correction2
  /// 1 / (tokens with a target in the whole step): all reductions are sums.
  case tokenWeight
  /// Factor of the gradients under a policy that scales the loss; others do not read it.
  case lossScale
}

/// Tables that a model's program reads, filled once by the runtime.
package enum Table: Hashable, Sendable {
  /// Cosines or sines of the rotary angles, `[positions, headSize/2]`; `frequencies` are in radians a position.
  case rotary(sine: Bool, frequencies: [Double])
}

/// A recorded program: segments of instructions over storages. The memory plan, the executor, the cost
/// model and the reports all read this one value.
public struct StepProgram: Sendable {
  package var storages: [Storage]
  /// The ranks that the program is recorded for.
  package var mesh: Mesh
  package var units: [ParameterUnit]
  /// Segments that hand activations to each other, in running order; transient memory of different groups
  /// shares the same place.
  package var groups: [[Segment]]
  /// Token ids, targets, and the start position while generating.
  package var tokens: Tensor
  package var targets: Tensor?
  package var start: Tensor?
  package var control: Tensor
  /// Which elements are dropped (`DropoutKey`), `[1, 4]` int32; nil where nothing is.
  package var dropoutKey: Tensor?
  package var tables: [TableTensor]
  /// What the host reads after a step.
  package var loss: Tensor?
  package var gradientNorm: Tensor?
  package var tokenLosses: Tensor?
  package var logits: Tensor?
  /// Whether a step may have several micro-batches: gradients keep their place then.
  package var accumulates = true
  /// Inputs of the layers and output of the last, as the model marked them.
  package var layerInputs: [Tensor] = []

  /// A constant table and where it lies.
  public struct TableTensor: Hashable, Sendable {
    package var tensor: Tensor
    package var content: Table

    package init(tensor: Tensor, content: Table) {
      self.tensor = tensor
      self.content = content
    }
  }

  /// A program without segments.
  package init(
    mesh: Mesh = .single, units: [ParameterUnit], tokens: Tensor, targets: Tensor?, control: Tensor,
    tables: [TableTensor]
  ) {
    storages = []
    groups = []
    self.mesh = mesh
    self.units = units
    self.tokens = tokens
    self.targets = targets
    self.control = control
    self.tables = tables
  }

  package var segments: [Segment] { groups.flatMap { $0 } }

  /// The segment of a kind, and of a chunk of layers where a device of a pipeline has several.
  package func segment(_ kind: Segment.Kind, chunk: Int = 0) -> Segment? {
    segments.first { $0.kind == kind && $0.chunk == chunk }
  }

  /// Chunks of layers that are recorded.
  package var chunkCount: Int { segments.count { $0.kind == .forward } }

  /// All parameters, unit by unit.
  package var parameters: [Parameter] { units.flatMap(\.parameters) }

  /// Number of the model's weights over all ranks, copies and padding excluded; of a stage's, where the program is of a
  /// device of a pipeline.
  package var parameterCount: Int {
    parameters.reduce(0) { $0 + $1.parts.reduce(0) { $0 + $1.count } }
  }

  /// Rows of the smallest table that tokens or targets pick from: ids must lie below it; 0 where the program has none.
  package var vocabularySize: Int {
    segments.flatMap(\.instructions).compactMap { instruction in
      switch instruction.op {
      case .embedding(let embedding): embedding.vocabulary?.total ?? instruction.inputs[1].rows
      case .headLoss, .headLossGradient: instruction.inputs[1].rows
      case .crossEntropyGradient(let gradient): gradient.vocabulary.total
      case .crossEntropyStatistics(let statistics): statistics.vocabulary.total
      default: nil
      }
    }.min() ?? 0
  }

  /// Bytes of the storages of a role.
  package func byteCount(of role: Role) -> Int {
    storages.reduce(0) { $0 + ($1.role == role ? $1.byteCount : 0) }
  }

  /// What keeps its memory throughout, in words.
  package var keptText: String {
    accumulates ? "weights, gradients and optimizer states" : "weights and optimizer states"
  }

  /// Bytes of the storages of a role that keep their content.
  package func persistentByteCount(of role: Role) -> Int {
    storages.reduce(0) { $0 + ($1.role == role && $1.isPersistent ? $1.byteCount : 0) }
  }
}
