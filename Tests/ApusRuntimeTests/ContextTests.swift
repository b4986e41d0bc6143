import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Context parallelism: ranks that hold parts of each sequence compute what one rank computes, in double precision.
@Suite struct ContextTests {
  static let layouts: [ParallelLayout] = [
    ParallelLayout(context: 2), ParallelLayout(context: 4), ParallelLayout(data: 2, context: 2),
    ParallelLayout(tensor: 2, context: 2), ParallelLayout(tensor: 2, context: 2, sequenceParallel: true),
    ParallelLayout(context: 2, zeroStage: 1), ParallelLayout(data: 2, context: 2, zeroStage: 2),
    ParallelLayout(data: 2, context: 2, zeroStage: 3),
    ParallelLayout(data: 2, context: 2, zeroStage: 3, shardDegree: 2),
    ParallelLayout(context: 2, pipeline: 2),
    ParallelLayout(data: 2, tensor: 2, context: 2, pipeline: 2, zeroStage: 1, sequenceParallel: true),
  ]

  /// B4: loss, norm, gradients and weights of every division of the sequences are those of one rank.
  @Test(arguments: ["gpt2", "llama", "tied llama"]) func partsEqualWholeSequences(_ name: String) throws {
    let job = LayoutRun.Job(model: PipelineTests.models[name]!, steps: 2)
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    for layout in Self.layouts {
      let run = try LayoutRun(job, layout, microbatches: 2, inDouble: true)
      LayoutTests.check(run, one, gradients: 1e-12, weights: 1e-12, "\(name), \(layout)")
    }
  }

  /// Recomputation gathers keys and values again and changes nothing; dropout drops the same elements.
  @Test(arguments: [RecomputationSettings.none, .selective, .full]) func partsRecomputeAndDrop(
    _ recomputation: RecomputationSettings
  ) throws {
    var job = LayoutRun.Job(model: LayoutTests.gpt2, steps: 1)
    job.dropout = 0.3
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    job.recomputation = recomputation
    for layout in [
      ParallelLayout(context: 2), ParallelLayout(data: 2, tensor: 2, context: 2, sequenceParallel: true),
    ] {
      let run = try LayoutRun(job, layout, microbatches: 3, inDouble: true)
      LayoutTests.check(run, one, gradients: 1e-12, weights: 1e-12, "\(layout), \(recomputation)")
      for (rank, result) in run.ranks.enumerated() {
        let counted = run.program.communication(
          microbatches: 3, at: MeshPosition(run.program.mesh, rank: rank))[.context]
        for kind in [CollectiveKind.allGather, .reduceScatter] {
          let (measured, expected) = (result.counters[.context]?[kind], counted?[kind])
          #expect(expected != nil && measured?.calls == expected?.calls)
          #expect(measured?.payloadBytes == expected.map { 2 * $0.payloadBytes })
        }
      }
    }
  }

  /// What is wrong in one place shows: pieces in another order than the positions and the attention assume.
  @Test func plantedMistakesAreFound() throws {
    let job = LayoutRun.Job(model: LayoutTests.llama, steps: 1)
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    func error(_ alter: @escaping (inout Instruction) -> Void) throws -> Double {
      let run = try LayoutRun(job, ParallelLayout(context: 2), inDouble: true) { program in
        for segment in program.groups[0].indices {
          for index in program.groups[0][segment].instructions.indices {
            alter(&program.groups[0][segment].instructions[index])
          }
        }
      }
      return LayoutRun.error(run.gradients, one.gradients).value
    }
    #expect(try error { _ in } < 1e-12)
    // Rotary positions as if the rank's tokens were a sequence of their own.
    #expect(
      try error { instruction in
        guard case .rotary(var op) = instruction.op else { return }
        op.slice = nil
        instruction.op = .rotary(op)
      } > 1e-3)
    // The gradients of the other ranks' keys and values are left out.
    #expect(
      try error { instruction in
        guard instruction.op.move?.axis == .context, instruction.op.move?.collective == .reduceScatter
        else { return }
        instruction.op = Copy().op
        instruction.inputs[0] = instruction.inputs[0].rows(from: 0, instruction.outputs[0].tensor.rows)
      } > 1e-3)
  }
}
