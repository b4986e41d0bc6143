import ApusCore

/// Records instructions: forward models write through its operation methods (`linear`, `attention`, ...),
/// rules and the optimizer through `emit`. No arithmetic happens and no memory exists.
public struct StepRecorder {
  package internal(set) var storages: [Storage] = []
  package private(set) var instructions: [Instruction] = []
  private var boundaries: [Tensor] = []
  /// The part of the model that the next instructions belong to, such as `layers.3.attention`.
  public var label = ""
  /// The ranks that the program is recorded for.
  package let mesh: Mesh
  /// The device of the pipeline.
  package let pipeline: PipelinePlace
  package let communication: CommunicationPolicy
  /// Element types of the parameters that are declared next, and by them of everything computed from them.
  package let precision: PrecisionPolicy
  /// Whether the unit that is declared next belongs to the last one.
  var joinsNextUnit = false
  private var transfers = 0
  /// What is dropped of the tensors that the model says; nil drops nothing.
  package var dropout: DropoutRecording?

  package init(
    mesh: Mesh = .single, communication: CommunicationPolicy = CommunicationPolicy(),
    precision: PrecisionPolicy = .fp32, pipeline: PipelinePlace = PipelinePlace()
  ) {
    self.mesh = mesh
    self.pipeline = pipeline
    self.communication = communication
    self.precision = precision
  }

  /// A new storage of exactly this shape.
  package mutating func tensor(_ name: String, _ role: Role, _ signature: Signature) -> Tensor {
    require(
      signature.rows > 0 && signature.columns > 0,
      "\(name): empty shape [\(signature.rows), \(signature.columns)]")
    storages.append(
      Storage(name: name, role: role, type: signature.type, count: signature.rows * signature.columns))
    return Tensor(
      storage: storages.count - 1, type: signature.type, offset: 0, rows: signature.rows,
      columns: signature.columns, placement: signature.placement)
  }

  /// Says that a step fills the tensor's storage once and has used it up at its end.
  package mutating func endsWithStep(_ tensor: Tensor) { storages[tensor.storage].isUsedUp = true }

  /// Fixes the size of a storage that was opened before its content was known.
  mutating func resize(_ storage: Int, name: String, count: Int) -> Tensor {
    storages[storage].count = count
    return Tensor(storage: storage, type: storages[storage].type, offset: 0, rows: 1, columns: count)
  }

  /// Records a forward operation; its rule gives the results.
  package mutating func record(_ operation: some ForwardOperation, _ inputs: [Tensor]) -> [Tensor] {
    let name = label.isEmpty ? type(of: operation).name : "\(label) \(type(of: operation).name)"
    let outputs = operation.results(inputs).map { tensor(name, .activation, $0) }
    emit(operation, inputs, to: outputs.map { Destination($0) })
    return outputs
  }

  /// Appends an instruction with explicit destinations.
  package mutating func emit(
    _ operation: some Operation, _ inputs: [Tensor], to outputs: [Destination],
    _ condition: Condition = .always
  ) {
    instructions.append(
      Instruction(
        op: operation.op, inputs: inputs, outputs: outputs, label: label, condition: condition))
  }

  /// A number for a collective whose start and wait are two instructions.
  mutating func nextTransfer() -> Int {
    transfers += 1
    return transfers
  }

  /// What of a model's layers the program is recorded for: one part a chunk; all layers on one rank.
  package func parts(layerCount: Int) -> [StagePart] {
    pipeline.parts(layerCount: layerCount, devices: mesh.degree(of: .pipeline))
  }

  /// The unit that is declared next begins anew: another chunk's, which runs at another time.
  package mutating func separateUnits() { joinsNextUnit = false }

  /// Numbers the next places that drop elements from `site + 1` on, the same in every division into stages.
  package mutating func continueDropout(after site: Int) { dropout?.site = site }

  /// Appends an instruction as it is.
  mutating func append(_ instruction: Instruction) { instructions.append(instruction) }

  /// Marks `x` as the input of a layer: what full recomputation keeps.
  public mutating func layerInput(_ x: Tensor) { boundaries.append(x) }

  /// Takes the layer inputs marked so far, leaving none.
  package mutating func takeBoundaries() -> [Tensor] {
    defer { boundaries = [] }
    return boundaries
  }

  /// Takes the instructions recorded so far, leaving none: the end of a segment.
  package mutating func takeInstructions() -> [Instruction] {
    defer { instructions = [] }
    return instructions
  }
}
