import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Every kind of layout against one rank: the same loss, norm, gradients and weights (S20, S27 to S34).
@Suite struct LayoutTests {
  static let gpt2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 13, maximumSequenceLength: 9, layerCount: 2, hiddenSize: 12, headCount: 6,
    intermediateSize: 18)
  static let llama = ModelConfiguration(
    family: .llama, vocabularySize: 17, maximumSequenceLength: 12, layerCount: 2, hiddenSize: 12,
    headCount: 4,
    keyValueHeadCount: 2, headSize: 6, intermediateSize: 10, tiedEmbeddings: false)
  static let tiedLlama = ModelConfiguration(
    family: .llama, vocabularySize: 11, maximumSequenceLength: 8, layerCount: 1, hiddenSize: 8, headCount: 4,
    keyValueHeadCount: 1, headSize: 2, intermediateSize: 6)
  static let models = ["gpt2": gpt2, "llama": llama, "tied llama": tiedLlama]

  static let layouts: [ParallelLayout] = [
    ParallelLayout(tensor: 2), ParallelLayout(tensor: 2, sequenceParallel: true), ParallelLayout(data: 2),
    ParallelLayout(data: 3), ParallelLayout(data: 2, zeroStage: 1), ParallelLayout(data: 2, zeroStage: 2),
    ParallelLayout(data: 2, zeroStage: 3), ParallelLayout(data: 3, zeroStage: 1),
    ParallelLayout(data: 3, zeroStage: 2), ParallelLayout(data: 3, zeroStage: 3),
    ParallelLayout(data: 4, zeroStage: 1, shardDegree: 2),
    ParallelLayout(data: 4, zeroStage: 2, shardDegree: 2),
    ParallelLayout(data: 4, zeroStage: 3, shardDegree: 2),
    ParallelLayout(data: 2, tensor: 2, zeroStage: 1), ParallelLayout(data: 2, tensor: 2, zeroStage: 2),
    ParallelLayout(data: 2, tensor: 2, zeroStage: 3, sequenceParallel: true),
    ParallelLayout(data: 3, tensor: 2, zeroStage: 2, sequenceParallel: true),
  ]

  static func error(_ a: Double, _ b: Double) -> Double { abs(a - b) / abs(b) }

  /// Checks a run against one rank.
  static func check(
    _ run: LayoutRun, _ one: LayoutRun, gradients: Double = 1e-5, weights: Double = 1e-5, _ text: String
  ) {
    for (a, b) in zip(run.losses, one.losses) { #expect(error(a, b) < gradients, "\(text): loss") }
    for (a, b) in zip(run.norms, one.norms) { #expect(error(a, b) < gradients, "\(text): norm") }
    let gradient = LayoutRun.error(run.gradients, one.gradients)
    #expect(gradient.value < gradients, "\(text): gradient of \(gradient.name)")
    let weight = LayoutRun.error(run.weights, one.weights)
    #expect(weight.value < weights, "\(text): \(weight.name)")
  }

  @Test(arguments: ["gpt2", "llama", "tied llama"])
  func everyLayoutEqualsOneRank(_ name: String) throws {
    let job = LayoutRun.Job(model: Self.models[name]!)
    let one = try LayoutRun(job, ParallelLayout())
    var layouts = Self.layouts
    switch name {
    case "gpt2":
      layouts += [ParallelLayout(tensor: 3), ParallelLayout(tensor: 6, sequenceParallel: true)]
    default:
      // Above the number of key-value heads.
      layouts += [
        ParallelLayout(tensor: 4), ParallelLayout(data: 2, tensor: 4, zeroStage: 3, sequenceParallel: true),
      ]
    }
    for layout in layouts {
      for microbatches in [1, 2] where job.sequences.isMultiple(of: layout.data * microbatches) {
        let run = try LayoutRun(job, layout, microbatches: microbatches)
        Self.check(run, one, "\(name), \(layout), \(microbatches) micro-batches")
        for rank in run.ranks {
          #expect(
            rank.highWater <= rank.plannedBytes && rank.highWater > rank.plannedBytes - 256, "\(layout)")
        }
      }
    }
  }
}

/// What a layout may not change to the last bit, what is counted, and that mistakes show.
@Suite struct LayoutExactnessTests {
  private func identical(_ a: LayoutRun, _ b: LayoutRun) -> Bool {
    a.losses == b.losses && a.norms == b.norms && a.gradients == b.gradients && a.weights == b.weights
  }

  private static let mixed = [
    ParallelLayout(data: 2, tensor: 2, zeroStage: 3, sequenceParallel: true),
    ParallelLayout(data: 4, zeroStage: 2, shardDegree: 2),
    ParallelLayout(data: 2, tensor: 2, zeroStage: 1), ParallelLayout(data: 3),
  ]

  /// The same layout twice gives the same bits; so do all ways to time the communication, and recomputation.
  @Test(arguments: mixed) func whenRanksCommunicateChangesNoBit(_ layout: ParallelLayout) throws {
    var job = LayoutRun.Job(model: LayoutTests.gpt2, sequences: 24)
    let first = try LayoutRun(job, layout, microbatches: 2)
    #expect(identical(try LayoutRun(job, layout, microbatches: 2), first))
    for gradients in CommunicationPolicy.GradientSynchronisation.allCases {
      for (bucket, window) in [(500, 0), (4000, 2)] {
        job.communication = CommunicationPolicy(
          gradients: gradients, bucketByteCount: bucket, prefetchedUnits: window,
          keepsGatheredInputs: window == 0)
        let run = try LayoutRun(job, layout, microbatches: 2)
        // The norm is summed unit by unit: other units, another order of a double precision sum.
        #expect(run.gradients == first.gradients, "\(gradients), \(bucket), \(window)")
        #expect(run.losses[0] == first.losses[0])
      }
    }
    job.communication = CommunicationPolicy(bucketByteCount: 2000)
    for recomputation in [RecomputationSettings.selective, .full] {
      job.recomputation = recomputation
      #expect(identical(try LayoutRun(job, layout, microbatches: 2), first), "\(recomputation)")
    }
  }

  /// In double precision layouts differ from one rank by rounding of doubles alone.
  @Test(arguments: [
    ParallelLayout(tensor: 2, sequenceParallel: true),
    ParallelLayout(data: 2, tensor: 2, zeroStage: 3, sequenceParallel: true),
    ParallelLayout(data: 2, tensor: 4, zeroStage: 2), ParallelLayout(data: 4, zeroStage: 1, shardDegree: 2),
  ]) func layoutsAreExactInDouble(_ layout: ParallelLayout) throws {
    let job = LayoutRun.Job(model: LayoutTests.llama)
    let one = try LayoutRun(job, ParallelLayout(), inDouble: true)
    let run = try LayoutRun(job, layout, inDouble: true)
    LayoutTests.check(run, one, gradients: 1e-12, weights: 1e-12, "\(layout)")
  }

  /// With 16-bit weights a layout is as near to float32 as one rank is: within twice its distance.
  @Test(arguments: [
    ParallelLayout(data: 2, tensor: 2, zeroStage: 3, sequenceParallel: true),
    ParallelLayout(data: 2, zeroStage: 2), ParallelLayout(data: 2, tensor: 2, zeroStage: 1),
  ]) func layoutsInBF16(_ layout: ParallelLayout) throws {
    for model in [LayoutTests.gpt2, LayoutTests.llama] {
      var job = LayoutRun.Job(model: model)
      let exact = try LayoutRun(job, ParallelLayout())
      job.precision = .bf16SummingInFloat32
      let one = try LayoutRun(job, ParallelLayout())
      let run = try LayoutRun(job, layout)
      for (a, b, expected) in [
        (run.gradients, one.gradients, exact.gradients), (run.weights, one.weights, exact.weights),
      ] {
        let (error, rounding) = (LayoutRun.error(a, expected), LayoutRun.error(b, expected).value)
        #expect(rounding > 1e-4, "16 bits were used")
        #expect(error.value < 2 * rounding, "\(model.family), \(layout): \(error.name)")
      }
      #expect(LayoutTests.error(run.losses[2], one.losses[2]) < 1e-2)
    }
  }

  /// What is dropped depends on the place in the whole batch and tensor, not on the layout.
  @Test(arguments: mixed) func layoutsDropTheSame(_ layout: ParallelLayout) throws {
    var job = LayoutRun.Job(model: LayoutTests.gpt2, sequences: 24)
    job.dropout = 0.3
    let one = try LayoutRun(job, ParallelLayout())
    LayoutTests.check(try LayoutRun(job, layout, microbatches: 2), one, "dropout, \(layout)")
  }

  /// A tied table that is large beside the batch: its sum starts after the head, the last rows are shared.
  @Test(arguments: [
    ParallelLayout(data: 2), ParallelLayout(data: 3, zeroStage: 1),
    ParallelLayout(data: 4, zeroStage: 1, shardDegree: 2),
    ParallelLayout(data: 2, tensor: 2, sequenceParallel: true),
  ]) func lastRowsOfATiedTable(_ layout: ParallelLayout) throws {
    var model = LayoutTests.gpt2
    model.vocabularySize = 500
    var job = LayoutRun.Job(model: model, steps: 2)
    let one = try LayoutRun(job, ParallelLayout())
    for microbatches in [1, 3] where job.sequences.isMultiple(of: layout.data * microbatches) {
      let run = try LayoutRun(job, layout, microbatches: microbatches)
      LayoutTests.check(run, one, "\(layout), \(microbatches) micro-batches")
      for (rank, result) in run.ranks.enumerated() {
        let counted = run.program.communication(
          microbatches: microbatches, at: MeshPosition(run.program.mesh, rank: rank))[.data]?[.allGather]
        #expect(counted?.calls == 2)
        #expect(result.counters[.data]?[.allGather].payloadBytes == 2 * (counted?.payloadBytes ?? 0))
      }
      for gradients in [CommunicationPolicy.GradientSynchronisation.naive, .bucketed] {
        job.communication.gradients = gradients
        let other = try LayoutRun(job, layout, microbatches: microbatches)
        #expect(other.gradients == run.gradients && other.losses[0] == run.losses[0], "\(gradients)")
      }
      job.communication.gradients = .overlapped
      let inDouble = try LayoutRun(job, layout, microbatches: microbatches, inDouble: true)
      LayoutTests.check(
        inDouble, try LayoutRun(job, ParallelLayout(), inDouble: true), gradients: 1e-12, weights: 1e-12,
        "\(layout)")
    }
  }

  /// Calls and bytes counted in the program are those that the communicators count while it runs.
  @Test(arguments: mixed) func whatIsCountedIsWhatHappens(_ layout: ParallelLayout) throws {
    var job = LayoutRun.Job(model: LayoutTests.tiedLlama, sequences: 24)
    job.steps = 2
    let run = try LayoutRun(job, layout, microbatches: 2)
    for (rank, result) in run.ranks.enumerated() {
      let position = MeshPosition(run.program.mesh, rank: rank)
      let counted = run.program.communication(microbatches: 2, at: position)
      #expect(Set(counted.keys).isSubset(of: Set(result.counters.keys)))
      for (axis, measured) in result.counters {
        for kind in CollectiveKind.allCases {
          let expected = counted[axis]?[kind] ?? CommunicationVolume()
          #expect(measured[kind].calls == 2 * expected.calls, "\(axis) \(kind)")
          #expect(measured[kind].payloadBytes == 2 * expected.payloadBytes, "\(axis) \(kind)")
          #expect(abs(measured[kind].ringBytes - 2 * expected.ringBytes) < 1e-6, "\(axis) \(kind)")
        }
      }
    }
  }

  /// Nothing writes outside its slots, with transfers under way.
  @Test func nothingWritesOutsideItsSlots() throws {
    let layout = ParallelLayout(data: 2, tensor: 2, zeroStage: 3, sequenceParallel: true)
    let job = LayoutRun.Job(model: LayoutTests.llama, steps: 1)
    let run = try LayoutRun(job, layout, audited: true)
    #expect(run.losses[0].isFinite)
  }

  /// Planted mistakes in a program, as a wrong pass could make them, are found by the comparison with one rank.
  @Test func plantedMistakesAreFound() throws {
    let job = LayoutRun.Job(model: LayoutTests.gpt2)
    let one = try LayoutRun(job, ParallelLayout())
    func isFound(_ layout: ParallelLayout, _ alter: (inout StepProgram) -> Void) throws -> Bool {
      do {
        let run = try LayoutRun(job, layout, alter: alter)
        return LayoutRun.error(run.gradients, one.gradients).value > 1e-5
          || LayoutRun.error(run.weights, one.weights).value > 1e-5
          || zip(run.norms, one.norms).contains { LayoutTests.error($0, $1) > 1e-5 }
          || zip(run.losses, one.losses).contains { LayoutTests.error($0, $1) > 1e-5 }
      } catch is LayoutRun.Mismatch {
        return true
      }
    }
    #expect(try !isFound(ParallelLayout(data: 2)) { _ in })
    // One bucket's all-reduce is skipped.
    #expect(try isFound(ParallelLayout(data: 2)) { $0.skip(.data, .allReduce, number: 0) })
    // A block's all-reduce in forward is skipped: each rank goes on with its term.
    #expect(try isFound(ParallelLayout(tensor: 2)) { $0.skip(.tensor, .allReduce, number: 2) })
    // The norms' gradients are not summed over the tensor axis.
    #expect(
      try isFound(ParallelLayout(tensor: 2, sequenceParallel: true)) {
        $0.skip(.tensor, .allReduce, number: 0)
      })
    // The weights are not gathered after the update.
    #expect(try isFound(ParallelLayout(data: 2, zeroStage: 1)) { $0.skip(.shard, .allGather, number: 0) })
    // A bucket is summed twice: a wrong scale.
    #expect(try isFound(ParallelLayout(data: 2)) { $0.sumTwice() })
    // What several ranks hold is counted by each in the norm.
    #expect(
      try isFound(ParallelLayout(tensor: 2)) { program in
        program.change { instruction in
          guard case .sumOfSquares(var op) = instruction.op else { return }
          for unit in op.stretches.indices {
            for stretch in op.stretches[unit].indices { op.stretches[unit][stretch].copies = 1 }
          }
          instruction.op = .sumOfSquares(op)
        }
      })
  }
}

extension StepProgram {
  /// Changes every instruction.
  fileprivate mutating func change(_ body: (inout Instruction) -> Void) {
    for group in groups.indices {
      for segment in groups[group].indices {
        for index in groups[group][segment].instructions.indices {
          body(&groups[group][segment].instructions[index])
        }
      }
    }
  }

  /// Replaces the move of that number, of a kind along an axis, by a copy on the rank; its end too.
  fileprivate mutating func skip(_ axis: MeshAxis, _ kind: CollectiveKind, number: Int) {
    var seen = 0
    var transfer: Int?
    change { instruction in
      if case .waitMove(let wait) = instruction.op, wait.transfer == transfer {
        instruction.op = Copy().op
        instruction.outputs = [Destination(instruction.inputs[0])]
        instruction.inputs = [instruction.inputs[0]]
      }
      guard let move = instruction.op.move, move.axis == axis, move.collective == kind else { return }
      if seen == number {
        if case .startMove(let start) = instruction.op { transfer = start.transfer }
        instruction.op = Copy().op
        let (x, y) = (instruction.inputs[0], instruction.outputs[0].tensor)
        // A gather's part lies inside its result already.
        instruction.outputs = [Destination(x.count == y.count ? y : x)]
      }
      seen += 1
    }
  }

  /// Sums the gradients of the first bucket over the replicas once more: a wrong scale.
  fileprivate mutating func sumTwice() {
    for segment in groups[0].indices {
      let instructions = groups[0][segment].instructions
      guard
        let index = instructions.firstIndex(where: {
          if case .waitMove(let wait) = $0.op { wait.move.axis == .data } else { false }
        }), case .waitMove(let wait) = instructions[index].op
      else { continue }
      var again = instructions[index]
      again.op = wait.move.op
      again.outputs = [Destination(again.inputs[1])]
      again.inputs = [again.inputs[0]]
      groups[0][segment].instructions.insert(again, at: index + 1)
    }
  }
}
