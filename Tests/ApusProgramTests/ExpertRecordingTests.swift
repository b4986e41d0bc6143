import ApusCore
import ApusModels
import ApusProgram
import Testing

/// What is recorded for mixtures of experts (B6).
@Suite struct ExpertRecordingTests {
  private static func model(_ perToken: Int) -> ModelConfiguration {
    var model = LayoutRecordingTests.llama
    model.experts = .init(count: 8, perToken: perToken)
    return model
  }

  private func program(_ model: ModelConfiguration, _ layout: ParallelLayout = .init()) -> StepProgram {
    .training(model, TrainingProgramSettings(microBatchSize: 2, sequenceLength: 16, layout: layout))
  }

  /// A layer exchanges its tokens twice forward and twice backward: each goes to k experts, and with an even load the
  /// buffers are full.
  @Test(arguments: [1, 2], [2, 4]) func exchanges(perToken: Int, expert: Int) {
    let model = Self.model(perToken)
    let program = program(model, ParallelLayout(data: 4, expert: expert))
    let volumes = program.communication(microbatches: 3, at: MeshPosition(program.mesh, rank: 0))
    let exchanges = volumes[.expert]?[.allToAll]
    let tokens = 2 * 16
    #expect(exchanges?.calls == 3 * 4 * model.layerCount)
    #expect(exchanges?.payloadBytes == 3 * 4 * model.layerCount * tokens * perToken * model.hiddenSize * 4)
    // Experts are summed over the ranks that hold the same ones; all else over all replicas.
    let experts = program.units.filter { $0.name.hasSuffix("experts") }
    #expect(experts.count == model.layerCount)
    let sums = volumes[.expertReplica]?[.allReduce]
    #expect(sums?.payloadBytes == (expert == 4 ? nil : 4 * experts.reduce(0) { $0 + $1.count }))
    let whole = self.program(model)
    #expect(program.parameterCount == whole.parameterCount)
    #expect(
      experts.reduce(0) { $0 + $1.count } * expert
        == whole.units.filter { $0.name.hasSuffix("experts") }.reduce(0) { $0 + $1.count })
  }

  /// The work is that of k dense blocks and a router, forward and backward, however many experts there are.
  @Test(arguments: [1, 2, 4]) func work(perToken: Int) {
    let dense = LayoutRecordingTests.llama
    let (mixed, plain) = (program(Self.model(perToken)), program(dense))
    let tokens = 2 * 16
    let block = 3 * 2 * tokens * dense.hiddenSize * dense.intermediateSize
    let router = 2 * tokens * dense.hiddenSize * 8
    for (kind, times) in [(Segment.Kind.forward, 1), (.backward, 2)] {
      let more = mixed.segment(kind)!.cost.flops - plain.segment(kind)!.cost.flops
      #expect(more == times * dense.layerCount * ((perToken - 1) * block + router))
    }
  }
}
