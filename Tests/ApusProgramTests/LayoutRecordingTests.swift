import ApusCore
import ApusModels
import ApusProgram
import Testing

/// What is recorded for ranks: collectives, their number and bytes, placements, memory.
@Suite struct LayoutRecordingTests {
  static let llama = ModelConfiguration(
    family: .llama, vocabularySize: 96, maximumSequenceLength: 64, layerCount: 3, hiddenSize: 32,
    headCount: 8,
    keyValueHeadCount: 4, headSize: 8, intermediateSize: 48, tiedEmbeddings: false)
  static let gpt2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 96, maximumSequenceLength: 64, layerCount: 3, hiddenSize: 32, headCount: 8,
    intermediateSize: 64)

  private func program(
    _ model: ModelConfiguration, _ layout: ParallelLayout, _ communication: CommunicationPolicy = .init(),
    recomputation: RecomputationSettings = .none
  ) -> StepProgram {
    .training(
      model,
      TrainingProgramSettings(
        microBatchSize: 2, sequenceLength: 16, recomputation: recomputation, layout: layout,
        communication: communication))
  }

  private func volume(
    _ program: StepProgram, _ axis: MeshAxis, _ kind: CollectiveKind, microbatches: Int = 1, rank: Int = 0
  ) -> CommunicationVolume {
    let position = MeshPosition(program.mesh, rank: rank)
    return program.communication(microbatches: microbatches, at: position)[axis]?[kind]
      ?? CommunicationVolume()
  }

  /// Elements of all units, padding included.
  private func elements(_ program: StepProgram) -> Int { program.units.reduce(0) { $0 + $1.count } }

  /// One rank has no collective, and none of the operations that only layouts have.
  @Test(arguments: Samples.small) func oneRankHasNone(_ model: ModelConfiguration) {
    let program = Samples.program(model)
    for instruction in program.segments.flatMap(\.instructions) {
      #expect(instruction.op.move == nil && instruction.condition == .always)
      #expect(!["bias", "materialise", "wait for move"].contains(instruction.op.name))
    }
    #expect(program.communication(microbatches: 3, at: .single).isEmpty)
    #expect(program.units.allSatisfy { $0.flat == $0.weights && $0.shard == nil })
  }

  /// S22, S23: one all-reduce a bucket, of all gradients, once a step however many micro-batches there are;
  /// naive, one a tensor.
  @Test func bucketsOfGradients() {
    for limit in [1000, 20_000, 25 << 20] {
      let program = program(
        Self.gpt2, ParallelLayout(data: 4), CommunicationPolicy(bucketByteCount: limit))
      for microbatches in [1, 4] {
        let sum = volume(program, .data, .allReduce, microbatches: microbatches)
        // The loss is one more call of four bytes.
        #expect(sum.calls == program.units.count + 1)
        #expect(sum.payloadBytes == 4 * elements(program) + 4)
        #expect(sum.ringBytes == Double(sum.payloadBytes) * 1.5)
      }
      // A bucket is closed by what brings it to its size: only the last may be smaller. The table stands alone.
      for unit in program.units.dropFirst().dropLast() { #expect(unit.flat.byteCount >= limit) }
      let last = program.units.dropFirst().map { $0.parameters.map { ($0.tensor.count + 15) / 16 * 64 } }
      for bucket in last where bucket.reduce(0, +) < limit { #expect(bucket == last.last) }
    }
    #expect(program(Self.gpt2, ParallelLayout(data: 4)).units.count == 2)
    let naive = program(Self.gpt2, ParallelLayout(data: 4), CommunicationPolicy(gradients: .naive))
    let sum = volume(naive, .data, .allReduce, microbatches: 4)
    #expect(sum.calls == naive.parameters.count + 1)
    #expect(sum.payloadBytes == 4 * naive.parameters.reduce(0) { $0 + $1.tensor.count } + 4)
  }

  /// S21: GPT-2's tied table, a third of all gradients, starts right behind the head; what starts last, with
  /// nothing of backward left to hide behind, is a tenth of the bytes.
  @Test func largeGradientsStartEarly() throws {
    let model = try #require(ModelPresets.named("gpt2-124m"))
    let program = StepProgram.training(
      model,
      TrainingProgramSettings(
        microBatchSize: 2, sequenceLength: 256, layout: ParallelLayout(data: 2)))
    let backward = try #require(program.segment(.backward)).instructions
    let starts = backward.indices.filter {
      if case .startMove = backward[$0].op { true } else { false }
    }
    let table = try #require(program.units.first { $0.name == "token table" })
    #expect(backward[starts[0]].inputs[0].count == table.count)
    #expect(Double(starts[0]) < 0.1 * Double(backward.count))
    let bytes = starts.map { backward[$0].inputs[0].byteCount }
    #expect(Double(bytes[bytes.count - 1]) < 0.1 * Double(bytes.reduce(0, +)))
    // The rows that are shared instead are little beside the table.
    let shared = volume(program, .data, .allGather).payloadBytes
    #expect(shared == 2 * 512 * (4 * 768 + 4) && 20 * shared < table.flat.byteCount)
  }

  /// S28: reduce-scatter and all-gather move as much as one all-reduce.
  @Test(arguments: [1, 2]) func zeroOneAndTwoMoveAsMuchAsAllReduce(stage: Int) {
    let program = program(Self.llama, ParallelLayout(data: 4, zeroStage: stage))
    let units = program.units.count
    for microbatches in [1, 3] {
      let scattered = volume(program, .shard, .reduceScatter, microbatches: microbatches)
      let times = stage == 2 ? microbatches : 1
      #expect(scattered.calls == times * units)
      #expect(scattered.payloadBytes == times * 4 * elements(program))
      let gathered = volume(program, .shard, .allGather, microbatches: microbatches)
      #expect(gathered.calls == units && gathered.payloadBytes == 4 * elements(program))
      // Beside the loss only the norm's sum of squares is reduced.
      #expect(volume(program, .shard, .allReduce, microbatches: microbatches).payloadBytes == 8)
      #expect(volume(program, .data, .allReduce, microbatches: microbatches).payloadBytes == 4)
    }
    let reduced = volume(self.program(Self.llama, ParallelLayout(data: 4)), .data, .allReduce)
    let both = volume(program, .shard, .reduceScatter) + volume(program, .shard, .allGather)
    let padding = 4 * (elements(program) - elements(self.program(Self.llama, ParallelLayout(data: 4))))
    #expect(both.ringBytes == (Double(reduced.payloadBytes - 4 + padding)) * 1.5)
  }

  /// S29: 3 times the parameters a micro-batch, less what backward does not read again: the input table, and
  /// GPT-2's positions. A tied table's gradient is scattered twice.
  @Test func zeroThreeMovesThreeTimesTheParameters() throws {
    for model in [Self.llama, Self.gpt2] {
      let program = program(model, ParallelLayout(data: 4, zeroStage: 3))
      let table = try #require(program.units.first { $0.name == "token table" }).count
      let positions = program.units.first { $0.name == "position table" }?.count ?? 0
      let all = elements(program)
      let (gathered, scattered) = (
        volume(program, .shard, .allGather, microbatches: 2),
        volume(program, .shard, .reduceScatter, microbatches: 2)
      )
      let isTied = model.tiedEmbeddings
      #expect(gathered.payloadBytes == 2 * 4 * (2 * all - positions - (isTied ? 0 : table)))
      #expect(scattered.payloadBytes == 2 * 4 * (all + (isTied ? table : 0)))
      // Forward gathers each unit once; backward the layers, the last norm and the head's table.
      let units = program.units.count
      #expect(gathered.calls == 2 * (units + model.layerCount + (isTied ? 2 : 1)))
      #expect(scattered.calls == 2 * (units + (isTied ? 1 : 0)))
      #expect(program.communication(microbatches: 2, at: .init(program.mesh, rank: 0))[.data]?.count == 1)
    }
  }

  /// Groups of shards: the group's sum is summed over the copies, once a step.
  @Test(arguments: [1, 2, 3]) func hybridShards(stage: Int) {
    let program = program(Self.llama, ParallelLayout(data: 8, zeroStage: stage, shardDegree: 2))
    let all = elements(program)
    #expect(volume(program, .replica, .allReduce, microbatches: 3).payloadBytes == 4 * all / 2)
    #expect(volume(program, .replica, .allReduce, microbatches: 3).calls == program.units.count)
    #expect(program.mesh.degree(of: .shard) == 2 && program.mesh.degree(of: .replica) == 4)
  }

  /// B3: two all-reduces a block forward and two backward, of a micro-batch's hidden states; one for the
  /// embedding, one for the gradient of the head's input, and one all-gather of three numbers a token and rank.
  @Test func tensorParallelCollectives() {
    for model in [Self.llama, Self.gpt2] {
      let program = program(model, ParallelLayout(tensor: 4))
      let reduced = volume(program, .tensor, .allReduce)
      let hidden = 4 * 32 * model.hiddenSize
      #expect(reduced.calls == 4 * model.layerCount + 2 + 1)
      #expect(reduced.payloadBytes == (4 * model.layerCount + 2) * hidden + 8)
      let gathered = volume(program, .tensor, .allGather)
      #expect(gathered.calls == 1 && gathered.payloadBytes == 4 * 4 * 32 * 3)
    }
  }

  /// B3, S34: all-gathers and reduce-scatters in place of the all-reduces, of the same volume; gathering again
  /// costs two more all-gathers a block and keeps the inputs divided.
  @Test func sequenceParallelCollectives() throws {
    let model = Self.llama
    let layout = ParallelLayout(tensor: 4, sequenceParallel: true)
    let hidden = 4 * 32 * model.hiddenSize
    let statistics = 4 * 4 * 32 * 3
    for keeps in [true, false] {
      let program = program(model, layout, CommunicationPolicy(keepsGatheredInputs: keeps))
      let (gathered, scattered) = (
        volume(program, .tensor, .allGather), volume(program, .tensor, .reduceScatter)
      )
      // Forward: two a block, and the embedding's reduce-scatter, the head's all-gather.
      #expect(scattered.calls == 4 * model.layerCount + 2)
      #expect(scattered.payloadBytes == (4 * model.layerCount + 2) * hidden)
      let gathers = (keeps ? 4 : 6) * model.layerCount + 2
      #expect(gathered.calls == gathers + 1)
      #expect(gathered.payloadBytes == gathers * hidden + statistics)
      // The norms' gradients are summed once a step, one call a unit: every layer's and the last norm's.
      let reduced = volume(program, .tensor, .allReduce, microbatches: 5)
      #expect(reduced.calls == model.layerCount + 1 + 1)
      #expect(reduced.payloadBytes == 4 * model.hiddenSize * (2 * model.layerCount + 1) + 8)
    }
  }

  /// Korthikanti et al. 2022, table 2: what a layer keeps, in hidden states of a token, without t ranks
  /// 10 + 24/t parts turn into 34/t. Here in fp32 with this program's own kept values.
  @Test func sequenceParallelismDividesWhatIsKept() {
    func kept(_ layout: ParallelLayout, keeps: Bool = true) -> Int {
      func bytes(_ layers: Int) -> Int {
        var model = Self.gpt2
        model.layerCount = layers
        let program = program(model, layout, CommunicationPolicy(keepsGatheredInputs: keeps))
        let read = Set(program.segment(.backward)!.instructions.flatMap { $0.inputs.map(\.storage) })
        let written = Set(
          program.segment(.forward)!.instructions.flatMap { $0.outputs.map(\.tensor.storage) })
        return written.intersection(read).reduce(0) { $0 + program.storages[$1].byteCount }
      }
      return bytes(3) - bytes(2)
    }
    let one = kept(ParallelLayout())
    // Statistics of the norms and of attention are counted apart: 4 + 8 numbers a token, t of them divided.
    #expect(kept(ParallelLayout(tensor: 4, sequenceParallel: true), keeps: false) == one / 4)
    #expect(kept(ParallelLayout(tensor: 4)) > one / 4)
    #expect(
      kept(ParallelLayout(tensor: 4, sequenceParallel: true)) > one / 4
        && kept(ParallelLayout(tensor: 4, sequenceParallel: true)) < kept(ParallelLayout(tensor: 4)))
  }

  /// S26 at degrees 4 and 8: parameters, gradients and states of a rank, to the byte, with the stated padding.
  @Test(arguments: [4, 8], [0, 1, 2, 3]) func memoryOfZeroStages(degree: Int, stage: Int) throws {
    let model = try #require(ModelPresets.named("gpt2-124m"))
    let program = program(model, ParallelLayout(data: degree, zeroStage: stage))
    let all = elements(program)
    // Parameters are multiples of 16 elements here; each unit is filled up to 64 elements a rank.
    let padding = all - program.parameterCount
    #expect(padding >= 0 && padding < program.units.count * 64 * degree)
    #expect(program.byteCount(of: .parameter) == 4 * all / (stage == 3 ? degree : 1))
    #expect(program.byteCount(of: .gradient) == 4 * all / (stage >= 2 ? degree : 1))
    #expect(program.byteCount(of: .optimizerState) == 8 * all / (stage >= 1 ? degree : 1))
  }

  /// The same with 16-bit weights: 2 + 2 and master and moments, 4 + 8.
  @Test(arguments: [1, 2, 3]) func memoryOfZeroStagesInBF16(stage: Int) throws {
    let program = StepProgram.training(
      Self.llama,
      TrainingProgramSettings(
        microBatchSize: 2, sequenceLength: 16, precision: .bf16,
        layout: ParallelLayout(data: 4, zeroStage: stage)))
    let all = elements(program)
    #expect(program.byteCount(of: .parameter) == 2 * all / (stage == 3 ? 4 : 1))
    #expect(program.byteCount(of: .gradient) == 2 * all / (stage >= 2 ? 4 : 1))
    #expect(program.byteCount(of: .optimizerState) == 12 * all / 4)
  }

  /// S29: whole parameters of at most the unit in use and those of the window are alive at once, and as many
  /// transient gradients.
  @Test(arguments: [0, 1, 2]) func prefetchIsBounded(window: Int) {
    var model = Self.llama
    model.layerCount = 12
    model.vocabularySize = 64
    let program = program(
      model, ParallelLayout(data: 4, zeroStage: 3), CommunicationPolicy(prefetchedUnits: window))
    let plan = MemoryPlan(program) { _ in 0 }
    let largest = program.units.map(\.flat.byteCount).max() ?? 0
    let most = plan.timelines.flatMap { $0 }.map { $0[.communication] ?? 0 }.max() ?? 0
    #expect(most <= 2 * (window + 1) * largest)
    #expect(most >= 2 * largest)
    #expect(plan.bytesAtPeak[.communication] ?? 0 <= most)
  }

  /// A wrong boundary does not record: see `PlacementTests` for what traps; here that ours are right for every
  /// degree, also above the number of key-value heads and for a vocabulary that no degree divides.
  @Test(arguments: [2, 4, 8], [false, true]) func localSizes(tensor: Int, sequenceParallel: Bool) throws {
    var model = Self.llama
    model.vocabularySize = 97
    let program = program(model, ParallelLayout(tensor: tensor, sequenceParallel: sequenceParallel))
    #expect(program.mesh.keyValueCopies == max(1, tensor / 4))
    #expect(
      program.vocabularySize == 97 && program.parameterCount == self.program(model, .init()).parameterCount)
    let forward = try #require(program.segment(.forward)).instructions
    let attention = try #require(forward.first { $0.op.name == "attention" })
    #expect(attention.outputs[0].tensor.columns == 64 / tensor)
    let rows = 32 / (sequenceParallel ? tensor : 1)
    for instruction in forward
    where instruction.op.name.hasSuffix("rms norm") || instruction.op.name == "add rms norm" {
      #expect(instruction.outputs[0].tensor.rows == rows)
    }
    // Every element of every published tensor lies on a rank, as often as it has copies.
    for parameter in program.parameters {
      for part in parameter.parts {
        var owners = Array(repeating: 0, count: part.count)
        for rank in 0..<tensor {
          for box in parameter.boxes(of: part, at: MeshPosition(program.mesh, rank: rank)) {
            for run in box.runs(globalColumns: part.columns) {
              for index in run.global..<run.global + run.count { owners[index] += 1 }
            }
          }
        }
        let isKeyOrValue = part.name.contains("k_proj") || part.name.contains("v_proj")
        let isNorm = part.name.contains("norm")
        let copies = isNorm ? tensor : isKeyOrValue ? program.mesh.keyValueCopies : 1
        #expect(owners.allSatisfy { $0 == copies }, "\(part.name)")
      }
    }
  }
}
