import ApusModels
import ApusProgram
import Testing

@Suite struct RecordingTests {
  /// One line an instruction: operation, label, shapes of inputs and outputs.
  private func lines(_ model: ModelConfiguration, _ kind: Segment.Kind) throws -> [String] {
    let program = Samples.program(model, isFused: false)
    let segment = try #require(program.segment(kind))
    return segment.instructions.map { instruction in
      let inputs = instruction.inputs.map(\.shapeText).joined(separator: " ")
      let outputs = instruction.outputs.map(\.tensor.shapeText).joined(separator: " ")
      return "\(instruction.label): \(instruction.op.name) \(inputs) -> \(outputs)"
    }
  }

  /// T = 14, D = 8, F = 20, V = 13, P = 9, two heads of 4.
  @Test func gpt2Forward() throws {
    let lines = try lines(Samples.gpt2, .forward)
    let first = [
      "embeddings: embedding [1, 14] [13, 8] -> [14, 8]",
      "embeddings: positions [14, 8] [9, 8] -> [14, 8]",
      "layer 0 attention: layer norm [14, 8] [1, 8] [1, 8] -> [14, 8] [1, 14] [1, 14]",
      "layer 0 attention: linear [14, 8] [8, 24] [1, 24] -> [14, 24]",
      "layer 0 attention: attention [14, 24] -> [14, 8] [2, 14]",
      "layer 0 attention: linear [14, 8] [8, 8] [1, 8] -> [14, 8]",
      "layer 0 attention: add [14, 8] [14, 8] -> [14, 8]",
      "layer 0 feed-forward: layer norm [14, 8] [1, 8] [1, 8] -> [14, 8] [1, 14] [1, 14]",
      "layer 0 feed-forward: linear [14, 8] [8, 20] [1, 20] -> [14, 20]",
      "layer 0 feed-forward: gelu [14, 20] -> [14, 20]",
      "layer 0 feed-forward: linear [14, 20] [20, 8] [1, 8] -> [14, 8]",
      "layer 0 feed-forward: add [14, 8] [14, 8] -> [14, 8]",
    ]
    #expect(Array(lines.prefix(12)) == first)
    #expect(lines.count == 2 + 2 * 10 + 1)
    #expect(lines.last == "final norm: layer norm [14, 8] [1, 8] [1, 8] -> [14, 8] [1, 14] [1, 14]")
  }

  /// T = 14, D = 12, F = 10, V = 17, four query and two key-value heads of 6: qkv has 48 columns.
  @Test func llamaForward() throws {
    let lines = try lines(Samples.llama, .forward)
    let first = [
      "embeddings: embedding [1, 14] [17, 12] -> [14, 12]",
      "layer 0 attention: rms norm [14, 12] [1, 12] -> [14, 12] [1, 14]",
      "layer 0 attention: linear [14, 12] [48, 12] -> [14, 48]",
      "layer 0 attention: rotary [14, 48] [12, 3] [12, 3] -> [14, 48]",
      "layer 0 attention: attention [14, 48] -> [14, 24] [4, 14]",
      "layer 0 attention: linear [14, 24] [12, 24] -> [14, 12]",
      "layer 0 attention: add [14, 12] [14, 12] -> [14, 12]",
      "layer 0 feed-forward: rms norm [14, 12] [1, 12] -> [14, 12] [1, 14]",
      "layer 0 feed-forward: linear [14, 12] [20, 12] -> [14, 20]",
      "layer 0 feed-forward: swiglu [14, 20] -> [14, 10]",
      "layer 0 feed-forward: linear [14, 10] [12, 10] -> [14, 12]",
      "layer 0 feed-forward: add [14, 12] [14, 12] -> [14, 12]",
    ]
    #expect(Array(lines.prefix(12)) == first)
    #expect(lines.count == 1 + 2 * 11 + 1)
  }

  /// The fused head opens backward; the gradient of an input has the input's shape.
  @Test(arguments: Samples.small) func backwardOpensWithTheHead(model: ModelConfiguration) throws {
    let program = Samples.program(model)
    let backward = try #require(program.segment(.backward))
    let head = backward.instructions[0]
    #expect(head.op.name == "head and loss gradient")
    #expect(head.outputs[0].tensor == program.loss)
    #expect(head.outputs[1].tensor.shapeText == head.inputs[0].shapeText)
    #expect(head.outputs[2].tensor.shapeText == head.inputs[1].shapeText)
    #expect(program.segment(.forward)?.instructions.contains { $0.op.name == "head and loss" } == false)
    // Evaluation keeps the plain operation and gives a loss for each token.
    let last = try #require(program.segment(.evaluation)?.instructions.last)
    #expect(last.op.name == "head and loss" && last.outputs.map(\.tensor) == [program.tokenLosses])
  }

  /// Published counts, and the enumeration without padding.
  @Test(arguments: [
    ("gpt2-124m", 124_439_808), ("gpt2-1558m", 1_557_611_200), ("llama-3.2-1b", 1_235_814_400),
    ("llama-3-8b", 8_030_261_248), ("llama-3-70b", 70_553_706_496),
  ])
  func parameterCounts(name: String, count: Int) throws {
    let shape = try #require(ModelPresets.named(name))
    let program = Samples.program(shape, microBatch: 1, sequence: 8)
    #expect(program.parameterCount == count)
    // The parts that published files hold add up to the same.
    #expect(program.parameters.flatMap(\.parts).reduce(0) { $0 + $1.count } == count)
  }

  /// Parameters of a unit start at multiples of 64 bytes, follow each other, and lie inside the unit.
  @Test(arguments: Samples.small) func parametersLieInTheirUnits(model: ModelConfiguration) {
    for unit in Samples.program(model).units {
      var end = 0
      for parameter in unit.parameters {
        #expect(parameter.tensor.storage == unit.weights.storage)
        #expect(parameter.tensor.offset.isMultiple(of: UnitDeclaration.alignment))
        #expect(parameter.tensor.offset - end < UnitDeclaration.alignment && parameter.tensor.offset >= end)
        end = parameter.tensor.offset + parameter.tensor.count
      }
      #expect(end <= unit.weights.count && unit.weights.count - end < UnitDeclaration.alignment)
      for buffer in [unit.gradients, unit.firstMoment, unit.secondMoment] {
        #expect(buffer?.count == unit.weights.count)
      }
    }
  }

  /// Gradient accumulation (S17): micro-batches in turn, then norm, the host's gate, and one update.
  @Test func scheduleOfAccumulation() {
    #expect(
      Schedule.accumulation(microbatches: 2) == [
        .run(.forward, microbatch: 0), .run(.backward, microbatch: 0), .run(.forward, microbatch: 1),
        .run(.backward, microbatch: 1), .run(.synchronise, microbatch: 0), .gate,
        .run(.optimizer, microbatch: 0),
      ])
    // S18: eight passes of a micro-batch make a batch of eight micro-batches.
    let passes = Schedule.accumulation(microbatches: 8).filter {
      if case .run(.backward, _) = $0 { true } else { false }
    }
    #expect(passes.count == 8)
  }
}
