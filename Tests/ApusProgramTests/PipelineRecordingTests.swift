import ApusCore
import ApusModels
import ApusProgram
import Testing

/// Stages of a pipeline as they are recorded: together they are the whole model's program, and what goes over
/// their boundaries is what the formulas say (B5).
@Suite struct PipelineRecordingTests {
  static let gpt2: ModelConfiguration = {
    var model = LayoutRecordingTests.gpt2
    model.layerCount = 6
    return model
  }()
  static let llama: ModelConfiguration = {
    var model = LayoutRecordingTests.llama
    model.layerCount = 6
    return model
  }()

  private func settings(
    _ layout: ParallelLayout, _ pipeline: PipelinePlace = .init(), isFused: Bool = true
  ) -> TrainingProgramSettings {
    var settings = TrainingProgramSettings(
      microBatchSize: 2, sequenceLength: 16, evaluates: true, layout: layout)
    settings.pipeline = pipeline
    settings.isFused = isFused
    return settings
  }

  private func stages(
    _ model: ModelConfiguration, _ layout: ParallelLayout, chunks: Int = 1, counts: [Int]? = nil,
    isFused: Bool = true
  ) -> [StepProgram] {
    (0..<layout.pipeline).map { device in
      .training(
        model,
        settings(
          layout, PipelinePlace(device: device, chunks: chunks, layerCounts: counts), isFused: isFused))
    }
  }

  /// An instruction without the numbers of its storages.
  private struct Described: Hashable {
    var kind: Segment.Kind
    var op: Op
    var label: String
    var condition: Condition
    var inputs, outputs: [Signature]
    var modes: [WriteMode]

    init?(_ instruction: Instruction, _ kind: Segment.Kind) {
      guard instruction.message == nil, instruction.op.move?.axis != .pipeline else { return nil }
      (self.kind, op, label, condition) = (kind, instruction.op, instruction.label, instruction.condition)
      inputs = instruction.inputs.map { Signature(like: $0) }
      outputs = instruction.outputs.map { Signature(like: $0.tensor) }
      modes = instruction.outputs.map(\.mode)
    }
  }

  private func described(_ programs: [StepProgram], _ kind: Segment.Kind) -> [Described: Int] {
    var counts: [Described: Int] = [:]
    for segment in programs.flatMap(\.segments) where segment.kind == kind {
      for instruction in segment.instructions {
        if let described = Described(instruction, kind) { counts[described, default: 0] += 1 }
      }
    }
    return counts
  }

  /// Every instruction of the whole model's forward, backward, update and evaluation is in exactly one stage, and
  /// the stages have no others but their messages.
  @Test(arguments: [
    (ParallelLayout(pipeline: 2), 1), (ParallelLayout(pipeline: 3), 2),
    (ParallelLayout(tensor: 4, pipeline: 3, sequenceParallel: true), 1), (ParallelLayout(pipeline: 6), 1),
  ]) func stagesTogetherAreTheWholeModel(_ layout: ParallelLayout, _ chunks: Int) {
    var alone = layout
    alone.pipeline = 1
    for model in [Self.llama, Self.gpt2] {
      let whole = StepProgram.training(model, settings(alone, isFused: false))
      let stages = stages(model, layout, chunks: chunks, isFused: false)
      for kind in [Segment.Kind.forward, .backward, .evaluation] {
        let (a, b) = (described(stages, kind), described([whole], kind))
        if model.tiedEmbeddings, kind == .backward {
          // The embedding's gradient is the first on its stage, not an addition to the head's.
          #expect(a.values.reduce(0, +) == b.values.reduce(0, +))
        } else {
          #expect(a == b, "\(model.family), \(layout), \(kind)")
        }
        let flops = stages.flatMap(\.segments).filter { $0.kind == kind }.reduce(0) { $0 + $1.cost.flops }
        #expect(flops == whole.segment(kind)?.cost.flops)
      }
      if !model.tiedEmbeddings {
        #expect(described(stages, .optimizer) == described([whole], .optimizer))
      }
      let table = model.tiedEmbeddings ? model.vocabularySize * model.hiddenSize : 0
      #expect(stages.reduce(0) { $0 + $1.parameterCount } == whole.parameterCount + table)
    }
  }

  /// Micro-batches x boundaries x b s h x bytes, divided by the tensor degree with sequence parallelism: sent forward
  /// by all stages but the last, backward by all but the first; with chunks, as many more boundaries.
  @Test(arguments: [1, 2], [false, true]) func bytesOverTheBoundaries(chunks: Int, sequenceParallel: Bool) {
    let layout = ParallelLayout(tensor: 4, pipeline: 3, sequenceParallel: sequenceParallel)
    for (model, precision) in [(Self.gpt2, PrecisionPolicy.fp32), (Self.llama, .bf16)] {
      var settings = settings(layout)
      settings.precision = precision
      let message =
        2 * 16 * model.hiddenSize * precision.compute.byteCount / (sequenceParallel ? layout.tensor : 1)
      var sent = 0
      for device in 0..<3 {
        settings.pipeline = PipelinePlace(device: device, chunks: chunks)
        let program = StepProgram.training(model, settings)
        let position = MeshPosition(program.mesh, rank: device * layout.tensor)
        let volumes = program.communication(microbatches: 5, at: position)[.pipeline] ?? [:]
        let stages = (0..<chunks).map { $0 * 3 + device }
        let boundaries = stages.count { $0 < 3 * chunks - 1 } + stages.count { $0 > 0 }
        #expect(volumes[.send]?.calls == 5 * boundaries && volumes[.receive]?.calls == 5 * boundaries)
        #expect(volumes[.send]?.payloadBytes == 5 * boundaries * message)
        #expect(volumes[.send]?.ringBytes == Double(5 * boundaries * message))
        sent += volumes[.send]?.payloadBytes ?? 0
      }
      #expect(sent == 2 * 5 * (3 * chunks - 1) * message)
    }
  }

  /// A tied table stands on the first and the last device and its gradient is summed between them once a step, a
  /// rank's part of it where replicas divide it; untied models have no such sum.
  @Test func tiedTables() {
    for (layout, parts) in [
      (ParallelLayout(pipeline: 3), 1), (ParallelLayout(data: 4, pipeline: 3, zeroStage: 1), 4),
      (ParallelLayout(data: 4, pipeline: 3, zeroStage: 3), 4),
    ] {
      for (device, program) in stages(Self.gpt2, layout).enumerated() {
        let position = MeshPosition(program.mesh, rank: device)
        let sum = program.communication(microbatches: 4, at: position)[.tiedTable]?[.allReduce]
        if device == 1 {
          #expect(sum == nil && !program.units.contains { $0.name == "token table" })
        } else {
          #expect(sum?.calls == 1 && sum?.payloadBytes == 4 * 96 * 32 / parts)
        }
      }
      for program in stages(Self.llama, layout) {
        #expect(program.communication(microbatches: 4, at: .init(program.mesh, rank: 0))[.tiedTable] == nil)
      }
    }
  }

  /// Which ranks are neighbours, and which hold a tied table (mesh order: tensor, context, pipeline, data).
  @Test func neighboursOnTheMesh() {
    let mesh = Mesh(ParallelLayout(data: 2, tensor: 2, pipeline: 3))
    let first = MeshPosition(mesh, rank: 7)
    #expect(first.group(along: .pipeline) == [7, 9, 11] && first.group(along: .tiedTable) == [7, 11])
    #expect(MeshPosition(mesh, rank: 9).group(along: .tiedTable) == [9])
    #expect(PipelineNeighbour.previous.coordinate(from: first) == 2)
    #expect(PipelineNeighbour.next.coordinate(from: MeshPosition(mesh, rank: 11)) == 0)
  }

  /// Layers go evenly, the first stages take what is left over, or as they are given; a stage may have none.
  @Test func layersAreSharedOut() {
    #expect(PipelinePlace.even(layerCount: 7, stages: 3) == [3, 2, 2])
    let interleaved = PipelinePlace(device: 1, chunks: 2).parts(layerCount: 7, devices: 2)
    #expect(interleaved.map(\.layers) == [2..<4, 6..<7])
    #expect(interleaved.map(\.hasHead) == [false, true] && !interleaved.contains(where: \.hasEmbedding))
    let stages = stages(Self.llama, ParallelLayout(pipeline: 3), counts: [4, 2, 0], isFused: false)
    #expect(stages[2].segment(.forward)?.instructions.first?.op.name == "receive")
    let whole = StepProgram.training(Self.llama, settings(ParallelLayout(), isFused: false))
    #expect(described(stages, .backward) == described([whole], .backward))
  }

  /// A device's segments: one forward and one backward a chunk, backward in the reverse order.
  @Test func segmentsOfChunks() {
    let program = stages(Self.gpt2, ParallelLayout(pipeline: 2), chunks: 3)[0]
    #expect(program.groups[0].map(\.kind) == [.forward, .forward, .forward, .backward, .backward, .backward])
    #expect(program.groups[0].map(\.chunk) == [0, 1, 2, 2, 1, 0] && program.chunkCount == 3)
    // Nothing lives from one chunk to another: schedules may run them at any time.
    for segment in program.groups[0] where segment.kind == .backward {
      let read = Set(segment.instructions.flatMap { $0.inputs.map(\.storage) })
      for other in program.groups[0] where other.chunk != segment.chunk {
        let written = Set(other.instructions.flatMap { $0.outputs.map(\.tensor.storage) })
        #expect(read.intersection(written).allSatisfy { program.storages[$0].role.isPersistent })
      }
    }
  }

  /// S6 times the micro-batches in flight: each holds one slab; a stage's slab is its layers' saved values, and
  /// those of all stages are the whole model's.
  @Test(arguments: [RecomputationSettings.none, .full]) func memoryOfMicrobatchesInFlight(
    _ recomputation: RecomputationSettings
  ) {
    func memory(_ layout: ParallelLayout, _ device: Int, _ inFlight: Int) -> StageMemory {
      var settings = settings(layout, PipelinePlace(device: device))
      settings.recomputation = recomputation
      return StageMemory(
        .training(Self.llama, settings), inFlight: [inFlight], workspace: Samples.workspace)
    }
    let layout = ParallelLayout(pipeline: 3)
    for device in 0..<3 {
      let (one, four) = (memory(layout, device, 1), memory(layout, device, 4))
      #expect(four.totalBytes - one.totalBytes == 3 * one.slabBytes[0] && one.slabBytes[0] > 0)
      var settings = settings(layout, PipelinePlace(device: device))
      settings.recomputation = recomputation
      let plan = MemoryPlan(.training(Self.llama, settings), workspace: Samples.workspace)
      #expect(plan.persistentBytes == one.persistentBytes)
      #expect(plan.lowerBound <= one.totalBytes)
    }
    // The middle stage's two layers against the difference that two layers make to the whole model.
    func whole(_ layers: Int) -> StageMemory {
      var model = Self.llama
      model.layerCount = layers
      var settings = settings(ParallelLayout())
      settings.recomputation = recomputation
      return StageMemory(.training(model, settings), inFlight: [1], workspace: Samples.workspace)
    }
    #expect(memory(layout, 1, 1).slabBytes[0] == whole(6).slabBytes[0] - whole(4).slabBytes[0])
    // With full recomputation a layer keeps its input alone: b s h x 4 bytes.
    if recomputation == .full { #expect(memory(layout, 1, 1).slabBytes[0] == 2 * 4 * 2 * 16 * 32) }
  }
}
