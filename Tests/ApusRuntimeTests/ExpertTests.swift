import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Mixtures of experts: what is recorded computes what one dense block would, and the same on every layout.
@Suite struct ExpertTests {
  static let model: ModelConfiguration = {
    var model = LayoutTests.llama
    // Room for all tokens: which ones are passed over would depend on how they are divided.
    model.experts = .init(count: 4, perToken: 2, capacityFactor: 2)
    return model
  }()

  static let layouts: [ParallelLayout] = [
    ParallelLayout(data: 2), ParallelLayout(data: 2, expert: 2), ParallelLayout(data: 4, expert: 2),
    ParallelLayout(data: 4, expert: 4), ParallelLayout(tensor: 2, sequenceParallel: true),
    ParallelLayout(data: 2, tensor: 2, expert: 2, sequenceParallel: true),
    ParallelLayout(data: 2, context: 2, expert: 2), ParallelLayout(data: 2, pipeline: 2, expert: 2),
    ParallelLayout(data: 4, expert: 2, zeroStage: 1), ParallelLayout(data: 4, expert: 2, zeroStage: 2),
    ParallelLayout(data: 2, tensor: 2, context: 2, expert: 2, zeroStage: 3, sequenceParallel: true),
  ]

  /// B6: loss, norm, gradients and weights with experts on several ranks are those of one rank.
  @Test(arguments: [RecomputationSettings.none, .full]) func dividedExpertsEqualOneRank(
    _ recomputation: RecomputationSettings
  ) throws {
    var job = LayoutRun.Job(model: Self.model, steps: 2)
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    job.recomputation = recomputation
    for layout in Self.layouts {
      let run = try LayoutRun(job, layout, microbatches: layout.data < 4 ? 2 : 1, inDouble: true)
      LayoutTests.check(run, one, gradients: 1e-12, weights: 1e-12, "\(layout), \(recomputation)")
      guard layout.expert > 1 else { continue }
      for (rank, result) in run.ranks.enumerated() {
        let position = MeshPosition(run.program.mesh, rank: rank)
        let program = run.stages[position.coordinate(on: .pipeline)]
        let counted = program.communication(microbatches: layout.data < 4 ? 2 : 1, at: position)[.expert]
        let (measured, expected) = (result.counters[.expert]?[.allToAll], counted?[.allToAll])
        #expect(expected != nil && measured?.calls == expected.map { 2 * $0.calls })
        #expect(measured?.payloadBytes == expected.map { 2 * 2 * $0.payloadBytes })
      }
    }
  }

  /// Experts that are all the same are one dense block, whichever a token goes to: the weights of a token add up to 1.
  @Test func equalExpertsAreOneBlock() throws {
    func loss(_ model: ModelConfiguration, from dense: Interpreter<Double>?) throws -> (
      Double, Interpreter<Double>
    ) {
      let interpreter = Interpreter<Double>(SmallModels.program(model))
      interpreter.prepare(tokenWeight: 1.0 / 22)
      let known = Dictionary(
        uniqueKeysWithValues: dense?.program.weightsOfRecord.map { ($0.parameter.name, $0.tensor) } ?? [])
      for (_, parameter, tensor) in interpreter.program.weightsOfRecord {
        let name = parameter.name.replacing("experts.gate_up_proj", with: "gate_up_proj.weight")
          .replacing("experts.down_proj", with: "down_proj.weight")
        guard let dense, let source = known[name] else { continue }
        for index in 0..<tensor.count {
          interpreter.scalars(tensor)[index] = dense.scalars(source)[index % source.count]
        }
      }
      return (try interpreter.step(vocabulary: model.vocabularySize), interpreter)
    }
    var model = SmallModels.mixture
    model.experts = nil
    let (expected, dense) = try loss(model, from: nil)
    for perToken in 1...4 {
      model.experts = .init(count: 4, perToken: perToken, capacityFactor: 4)
      let (mixed, _) = try loss(model, from: dense)
      #expect(abs(mixed - expected) < 1e-12, "\(perToken) experts a token")
    }
    // Tokens that are passed over pass by the block.
    model.experts = .init(count: 4, perToken: 2, capacityFactor: 0.5)
    let (less, _) = try loss(model, from: dense)
    #expect(abs(less - expected) > 1e-6)
  }

  /// A backend without kernels for experts says so before anything is mapped.
  @Test func theProcessorRefusesThem() throws {
    let error = try #require(throws: RuntimeFailure.self) {
      try Executor(SmallModels.program(SmallModels.mixture), threads: 1)
    }
    #expect(error.description.hasPrefix("a mixture of experts can be planned but not run yet"))
  }
}
