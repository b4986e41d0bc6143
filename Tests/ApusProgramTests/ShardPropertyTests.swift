import ApusCore
import ApusModels
import ApusProgram
import Testing

/// Random models under random layouts: what ranks hold, put together, is the whole, and takes the bytes of S26.
@Suite struct ShardPropertyTests {
  private struct Sample {
    var model: ModelConfiguration
    var settings: TrainingProgramSettings
    var layout: ParallelLayout { settings.layout }

    init(seed: UInt64) {
      var random = Generator(state: seed &* 0x9e37_79b9_7f4a_7c15 &+ 1)
      let tensor = Int.random(in: 1...4, using: &random)
      let data = Int.random(in: 1...6, using: &random)
      let heads = tensor * Int.random(in: 1...3, using: &random)
      let keyValueHeads = (1...heads).filter {
        heads.isMultiple(of: $0) && ($0.isMultiple(of: tensor) || tensor.isMultiple(of: $0))
      }
      let isGPT2 = Bool.random(using: &random)
      let headSize = 2 * Int.random(in: 1...3, using: &random)
      model = ModelConfiguration(
        family: isGPT2 ? .gpt2 : .llama, vocabularySize: Int.random(in: 5...70, using: &random),
        maximumSequenceLength: 12, layerCount: Int.random(in: 1...3, using: &random),
        hiddenSize: isGPT2 ? heads * headSize : Int.random(in: 3...40, using: &random), headCount: heads,
        keyValueHeadCount: isGPT2 ? heads : keyValueHeads.randomElement(using: &random) ?? heads,
        headSize: headSize, intermediateSize: tensor * Int.random(in: 1...9, using: &random),
        tiedEmbeddings: isGPT2 || Bool.random(using: &random))
      let zeroStage = data > 1 ? Int.random(in: 0...3, using: &random) : 0
      let degrees = (2...6).filter { $0 < data && data.isMultiple(of: $0) && zeroStage > 0 }
      let layout = ParallelLayout(
        data: data, tensor: tensor, zeroStage: zeroStage,
        shardDegree: Bool.random(using: &random) ? degrees.randomElement(using: &random) : nil,
        sequenceParallel: tensor > 1 && Bool.random(using: &random))
      settings = TrainingProgramSettings(
        microBatchSize: 1, sequenceLength: 12,
        precision: [.fp32, .bf16, .bf16SummingInFloat32, .fp16].randomElement(using: &random) ?? .fp32,
        layout: layout,
        communication: CommunicationPolicy(
          gradients: [.naive, .bucketed, .overlapped].randomElement(using: &random) ?? .naive,
          bucketByteCount: [100, 3_000, 1 << 20].randomElement(using: &random) ?? 100))
    }
  }

  /// SplitMix64: the same samples in every run.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }

  @Test func whatRanksHoldIsTheWhole() {
    for seed in 0..<80 as Range<UInt64> {
      let sample = Sample(seed: seed)
      let program = StepProgram.training(sample.model, sample.settings)
      for unit in program.units {
        for buffer in [unit.weightsOfRecord, unit.gradients.map { unit.part(of: $0) }].compactMap({ $0 }) {
          check(unit, buffer, program.mesh, "sample \(seed): \(sample.model), \(sample.layout)")
        }
      }
    }
  }

  /// Every element of every published tensor is held as often as the layout makes copies, and no place of a buffer
  /// by two.
  private func check(_ unit: ParameterUnit, _ buffer: Tensor, _ mesh: Mesh, _ text: String) {
    var holders: [String: [Int]] = [:]
    for rank in 0..<mesh.layout.worldSize {
      let position = MeshPosition(mesh, rank: rank)
      let held = unit.range(of: buffer, at: position)
      #expect(held.count == buffer.count, "\(text): \(unit.name)")
      var isTaken = [Bool](repeating: false, count: buffer.count)
      for parameter in unit.parameters {
        for part in parameter.parts {
          var counts = holders[part.name] ?? Array(repeating: 0, count: part.count)
          for box in parameter.boxes(of: part, at: position).flatMap({ $0.intersection(held) }) {
            for run in box.runs(globalColumns: part.columns) {
              for offset in 0..<run.count {
                let place = run.offset - held.lowerBound + offset
                guard isTaken.indices.contains(place), !isTaken[place] else {
                  Issue.record("\(text): \(part.name) at \(place) of \(buffer.count) in \(unit.name)")
                  return
                }
                isTaken[place] = true
                counts[run.global + offset] += 1
              }
            }
          }
          holders[part.name] = counts
        }
      }
    }
    let replicas = mesh.degree(of: .data) / (buffer.count < unit.count ? mesh.degree(of: .shard) : 1)
    for part in unit.parameters.flatMap(\.parts) {
      let copies: Int
      switch part.blocks[0].axis {
      case nil: copies = mesh.layout.tensor
      case .keyValueHeads: copies = mesh.keyValueCopies
      default: copies = 1
      }
      #expect(holders[part.name]?.allSatisfy { $0 == replicas * copies } == true, "\(text): \(part.name)")
    }
  }

  /// S26: parameters, gradients and states of a rank are the whole divided where the stage divides, and padding is
  /// less than 16 elements a parameter and 256 bytes a rank and unit.
  @Test func bytesAreThoseOfTheFormula() {
    for seed in 0..<80 as Range<UInt64> {
      let sample = Sample(seed: seed)
      let program = StepProgram.training(sample.model, sample.settings)
      let (stage, precision) = (sample.layout.zeroStage, sample.settings.precision)
      let degree = program.mesh.degree(of: .shard)
      let padded = program.units.reduce(0) { $0 + $1.count }
      func bytes(_ perParameter: Int, from first: Int) -> Int {
        padded * perParameter / (stage >= first ? degree : 1)
      }
      let text = "sample \(seed): \(sample.layout), \(precision.name)"
      #expect(program.byteCount(of: .parameter) == bytes(precision.compute.byteCount, from: 3), "\(text)")
      #expect(program.byteCount(of: .gradient) == bytes(precision.gradients.byteCount, from: 2), "\(text)")
      #expect(
        program.byteCount(of: .optimizerState) == bytes(precision.hasMasterWeights ? 12 : 8, from: 1),
        "\(text)")
      let parameters = program.units.flatMap(\.parameters)
      let own = parameters.reduce(0) { $0 + $1.tensor.count }
      let most =
        16 * parameters.count
        + program.units.count * (degree > 1 ? degree * 256 / precision.compute.byteCount : 0)
      #expect(padded >= own && padded < own + most, "\(text): \(padded) for \(own)")
    }
  }
}
