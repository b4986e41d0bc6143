import ApusModels
import ApusProgram
import Testing

@Suite struct GradientPassTests {
  /// A residual stream's gradient is passed on and accumulated in place: no copy and no addition.
  @Test(arguments: Samples.small) func residualBlocksNeedNoCopy(model: ModelConfiguration) throws {
    let backward = try #require(Samples.program(model).segment(.backward))
    for instruction in backward.instructions {
      #expect(!["copy", "add"].contains(instruction.op.name), "\(instruction.label)")
    }
    // The norm at the start of each branch adds its gradient to the one that went around the branch.
    let norms = backward.instructions.filter {
      ["layer norm gradient", "rms norm gradient"].contains($0.op.name)
    }
    #expect(norms.count == 2 * model.layerCount + 1)
    #expect(norms.map { $0.outputs[0].mode } == [.overwrite] + norms.dropFirst().map { _ in .accumulate })
  }

  /// The first contribution to a parameter's gradient overwrites in the first micro-batch; only a tied table
  /// has a second, which adds.
  @Test(arguments: Samples.small) func writeModesOfParameterGradients(model: ModelConfiguration) throws {
    let program = Samples.program(model)
    let backward = try #require(program.segment(.backward))
    for unit in program.units {
      for parameter in unit.parameters {
        let gradient = unit.gradient(of: parameter.tensor)
        let writes = backward.instructions.flatMap { instruction in
          instruction.outputs.filter { $0.tensor == gradient }.map { (instruction.op.name, $0.mode) }
        }
        #expect(writes.first?.1 == .accumulateAfterFirstMicrobatch, "\(parameter.name)")
        let isTable =
          parameter.name.hasSuffix("wte.weight") || parameter.name.hasSuffix("embed_tokens.weight")
        if isTable && model.tiedEmbeddings {
          #expect(writes.map(\.0) == ["head and loss gradient", "embedding gradient"])
          #expect(writes.last?.1 == .accumulate)
        } else {
          #expect(writes.count == 1, "\(parameter.name)")
        }
      }
    }
    let loss = backward.instructions.flatMap(\.outputs).filter { $0.tensor == program.loss }
    #expect(loss.map(\.mode) == [.accumulateAfterFirstMicrobatch])
  }

  /// Nothing is read before it is written, and nothing is added to before it is overwritten.
  @Test(arguments: Samples.small) func transientsAreWrittenFirst(model: ModelConfiguration) {
    let program = Samples.program(model)
    for group in program.groups {
      var written: Set<Int> = []
      for instruction in group.flatMap(\.instructions) {
        for input in instruction.inputs where program.storages[input.storage].role == .activation {
          #expect(written.contains(input.storage), "\(instruction.label) \(instruction.op.name)")
        }
        for output in instruction.outputs where program.storages[output.tensor.storage].role == .activation {
          #expect(output.mode == .overwrite || written.contains(output.tensor.storage))
          #expect(output.mode != .accumulateAfterFirstMicrobatch)
          written.insert(output.tensor.storage)
        }
      }
    }
  }

  @Test func microbatchesAccumulate() {
    let tensor = Tensor(Signature(1, 1))
    for (mode, first, later) in [
      (WriteMode.overwrite, false, false), (.accumulate, true, true),
      (.accumulateAfterFirstMicrobatch, false, true),
    ] {
      #expect(Destination(tensor, mode).accumulates(microbatch: 0) == first)
      #expect(Destination(tensor, mode).accumulates(microbatch: 1) == later)
    }
  }

  /// x + gelu(x): while GELU's rule runs the gradient of the sum has two holders, so x gets its own.
  @Test func sharedGradientsAreCopied() {
    var step = StepRecorder()
    var units: [ParameterUnit] = []
    let table = step.unit("table", training: true, into: &units) { $0.declare("table", 5, 4, .zeros) }
    let ids = step.tensor("ids", .input, Signature(1, 3, .int32))
    let control = step.tensor("control", .input, Signature(1, 4))
    let loss = step.tensor("loss", .result, Signature(1, 1))
    let x = step.embedding(ids, table, vocabularySize: 5)
    let sum = step.add(x, step.gelu(x))
    _ = step.headLoss(sum, table, targets: ids, control: control, vocabularySize: 5)
    let (forward, backward) = GradientPass.differentiate(
      step.takeInstructions(), units: units, loss: loss, in: &step)
    #expect(forward.map(\.op.name) == ["embedding", "gelu", "add"])
    #expect(
      backward.map(\.op.name) == ["head and loss gradient", "copy", "gelu gradient", "embedding gradient"])
    // The copy is what GELU adds to and the embedding reads; the gradient of the sum stays as it is.
    #expect(backward[1].outputs[0].tensor == backward[2].outputs[0].tensor)
    #expect(backward[2].outputs[0].mode == .accumulate)
    #expect(backward[2].inputs[0] == backward[0].outputs[1].tensor)
    #expect(backward[3].inputs[1] == backward[1].outputs[0].tensor)
  }
}

extension Tensor {
  /// A tensor of no program.
  fileprivate init(_ signature: Signature) {
    var step = StepRecorder()
    self = step.tensor("alone", .activation, signature)
  }
}
