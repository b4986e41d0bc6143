import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Pipelines: the stages' programs, run as ranks that hand each other activations and gradients, compute what one
/// program of the whole model computes, in double precision.
@Suite struct PipelineTests {
  static let models: [String: ModelConfiguration] = {
    var models = LayoutTests.models
    models["gpt2"]?.layerCount = 4
    models["llama"]?.layerCount = 5
    models["tied llama"]?.layerCount = 4
    return models
  }()

  static let layouts: [(ParallelLayout, chunks: Int)] = [
    (ParallelLayout(pipeline: 2), 1), (ParallelLayout(pipeline: 3), 1), (ParallelLayout(pipeline: 2), 2),
    (ParallelLayout(tensor: 2, pipeline: 2), 1),
    (ParallelLayout(tensor: 2, pipeline: 3, sequenceParallel: true), 1),
    (ParallelLayout(data: 2, pipeline: 2), 2), (ParallelLayout(data: 2, pipeline: 2, zeroStage: 1), 1),
    (ParallelLayout(data: 2, pipeline: 3, zeroStage: 2), 1),
    (ParallelLayout(data: 2, tensor: 2, pipeline: 2, zeroStage: 3, sequenceParallel: true), 2),
    (ParallelLayout(data: 4, pipeline: 2, zeroStage: 1, shardDegree: 2), 1),
    (ParallelLayout(data: 4, pipeline: 2, zeroStage: 3, shardDegree: 2), 1),
  ]

  /// B5: loss, norm, gradients and weights of every division into stages are those of one rank.
  @Test(arguments: ["gpt2", "llama", "tied llama"]) func stagesEqualTheWholeModel(_ name: String) throws {
    var job = LayoutRun.Job(model: Self.models[name]!, steps: 2)
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    for (layout, chunks) in Self.layouts {
      job.chunks = chunks
      for microbatches in [1, 3] where job.sequences.isMultiple(of: layout.data * microbatches) {
        let run = try LayoutRun(job, layout, microbatches: microbatches, inDouble: true)
        LayoutTests.check(
          run, one, gradients: 1e-12, weights: 1e-12,
          "\(name), \(layout), \(chunks) chunks, \(microbatches) micro-batches")
      }
    }
  }

  /// Recomputation, for some layers too, and dropout are a stage's as they are the whole model's.
  @Test(arguments: [
    RecomputationSettings.selective, .full,
    .layers([.init(.full, layers: LayerSet(1...2)), .init(.selective, layers: LayerSet([4]))]),
  ]) func stagesRecomputeAndDrop(_ recomputation: RecomputationSettings) throws {
    for name in ["gpt2", "llama"] {
      var job = LayoutRun.Job(model: Self.models[name]!, steps: 1)
      if name == "gpt2" { job.dropout = 0.3 }
      let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
      job.recomputation = recomputation
      for (layout, chunks) in [
        (ParallelLayout(pipeline: 2), 2),
        (ParallelLayout(data: 2, tensor: 2, pipeline: 2, zeroStage: 3, sequenceParallel: true), 1),
      ] {
        job.chunks = chunks
        let run = try LayoutRun(job, layout, microbatches: 2, inDouble: true)
        LayoutTests.check(run, one, gradients: 1e-12, weights: 1e-12, "\(name), \(layout), \(recomputation)")
      }
    }
  }

  /// With 16-bit values on the way nothing is rounded that the whole model does not round too.
  @Test func stagesRoundAsTheWholeModel() throws {
    var job = LayoutRun.Job(model: Self.models["llama"]!, steps: 1)
    job.precision = .bf16SummingInFloat32
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    let run = try LayoutRun(job, ParallelLayout(pipeline: 3), microbatches: 1, inDouble: true)
    #expect(run.gradients == one.gradients && run.losses == one.losses)
  }

  /// Calls and bytes counted in the stages' programs are those that their ranks exchange.
  @Test func whatIsCountedIsWhatHappens() throws {
    var job = LayoutRun.Job(model: Self.models["tied llama"]!, steps: 1)
    job.chunks = 2
    let layout = ParallelLayout(data: 2, tensor: 2, pipeline: 2, zeroStage: 2, sequenceParallel: true)
    let run = try LayoutRun(job, layout, microbatches: 3, inDouble: true)
    for (rank, result) in run.ranks.enumerated() {
      let position = MeshPosition(run.program.mesh, rank: rank)
      let program = run.stages[position.coordinate(on: .pipeline)]
      let counted = program.communication(microbatches: 3, at: position)
      #expect(counted[.pipeline]?[.send] != nil)
      // A rank has six rows of eight of the table: the first shard of 64 elements has all, the second padding alone.
      #expect(
        counted[.tiedTable]?[.allReduce]?.payloadBytes
          == (position.coordinate(on: .shard) == 0 ? 4 * 6 * 8 : nil))
      for (axis, measured) in result.counters {
        for kind in CollectiveKind.allCases {
          let expected = counted[axis]?[kind] ?? CommunicationVolume()
          #expect(measured[kind].calls == expected.calls, "rank \(rank), \(axis) \(kind)")
          // Everything travels in double precision here; only the sum of squares is that in the program.
          let own = axis == .pipeline || axis == .tensor || axis == .shard ? kind == .allReduce : false
          if !own {
            #expect(measured[kind].payloadBytes == 2 * expected.payloadBytes, "rank \(rank), \(axis) \(kind)")
          }
        }
      }
    }
  }

  /// Planted mistakes are found: a tied gradient that is not summed, stages that count a table twice in the norm.
  @Test func plantedMistakesAreFound() throws {
    let job = LayoutRun.Job(model: Self.models["gpt2"]!, steps: 1)
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    func error(_ alter: @escaping (inout [Instruction]) -> Void) throws -> Double {
      do {
        let run = try LayoutRun(job, ParallelLayout(pipeline: 2), inDouble: true) { program in
          alter(&program.groups[1][0].instructions)
        }
        return max(
          LayoutRun.error(run.gradients, one.gradients).value, LayoutTests.error(run.norms[0], one.norms[0]))
      } catch is LayoutRun.Mismatch {
        return 1
      }
    }
    #expect(try error { _ in } < 1e-12)
    #expect(try error { $0.removeAll { $0.op.move?.axis == .tiedTable } } > 1e-3)
    #expect(
      try error { instructions in
        for index in instructions.indices {
          guard case .sumOfSquares(var op) = instructions[index].op else { continue }
          for unit in op.stretches.indices {
            for stretch in op.stretches[unit].indices { op.stretches[unit][stretch].copies = 1 }
          }
          instructions[index].op = .sumOfSquares(op)
        }
      } > 1e-3)
  }
}
