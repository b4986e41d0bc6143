import ApusCore

/// The field's recipe for a batch in four steps (domain reference S25), with what each step found.
///
/// 1. the batch in tokens, 2. the length of a sequence, 3. the largest micro-batch that fits a device, by doubling and
/// bisection, 4. data parallelism over what there is, and accumulation for the rest. The published step 4 divides the
/// batch by the data-parallel degree alone; counted in samples the micro-batch divides too (erratum 11).
package struct BatchRecipe: Hashable, Sendable {
  package let globalBatchTokens: Int
  package let sequenceLength: Int
  package let devices: Int
  /// Devices that share one replica of the model.
  package let devicesOfReplica: Int
  /// Sequences of a step.
  package let samples: Int
  /// The most sequences of a micro-batch that fit; 0 when not even one does.
  package let largestMicroBatch: Int
  /// The micro-batch taken: the largest up to `largestMicroBatch` that divides what a replica gets.
  package let microBatch: Int
  package let dataDegree: Int
  package let accumulation: Int

  /// Sequences that are tried at most.
  package static let mostSequences = 4096

  /// - Parameter fits: whether a micro-batch of so many sequences fits a device.
  /// - Throws: where the batch is no whole number of sequences, or gives a replica no whole number of them.
  package init(
    tokens: Int, sequenceLength: Int, devices: Int, devicesOfReplica: Int = 1, fits: (Int) -> Bool
  ) throws(ForesightError) {
    guard tokens >= sequenceLength, tokens.isMultiple(of: sequenceLength) else {
      throw .partialSequence(tokens: tokens, sequenceLength: sequenceLength)
    }
    let samples = tokens / sequenceLength
    let replicas = max(1, devices / devicesOfReplica)
    guard samples.isMultiple(of: replicas) else {
      let below = samples / replicas * replicas
      throw .indivisibleBatch(
        samples: samples, by: replicas, as: "data-parallel degree",
        nearest: [below, below + replicas].filter { $0 > 0 })
    }
    let share = samples / replicas
    globalBatchTokens = tokens
    self.sequenceLength = sequenceLength
    self.devices = devices
    self.devicesOfReplica = devicesOfReplica
    self.samples = samples
    let largest = MemoryFit.largest(upTo: Self.mostSequences, where: fits) ?? 0
    largestMicroBatch = largest
    let taken = (1...max(1, min(share, largest))).last { share.isMultiple(of: $0) } ?? 1
    microBatch = taken
    dataDegree = replicas
    accumulation = share / taken
  }

  /// One line a step.
  package var steps: [String] {
    let largest: String
    switch largestMicroBatch {
    case 0: largest = "none: a single sequence does not fit, so the model itself must be divided (see below)"
    case Self.mostSequences: largest = "at least \(Self.mostSequences) sequences"
    default:
      largest =
        "\(largestMicroBatch) sequence\(largestMicroBatch == 1 ? "" : "s") fit\(largestMicroBatch == 1 ? "s" : ""), "
        + "\(largestMicroBatch + 1) do not"
    }
    let replica = devicesOfReplica > 1 ? " / \(devicesOfReplica) of a replica" : ""
    return [
      "1. batch: \(globalBatchTokens.grouped) tokens" + Self.comment(tokens: globalBatchTokens),
      "2. sequence: \(sequenceLength.grouped) tokens, so \(samples.grouped) sequences a step"
        + Self.comment(sequence: sequenceLength),
      "3. largest micro-batch on a device: \(largest)",
      "4. data parallel over \(devices.grouped) devices\(replica) = \(dataDegree.grouped); accumulation = "
        + "\(samples.grouped) / (\(dataDegree.grouped) x micro-batch \(microBatch)) = \(accumulation.grouped)",
    ]
  }

  /// 4 to 60 million tokens are usual (domain reference B1).
  private static func comment(tokens: Int) -> String {
    switch tokens {
    case ..<4_000_000: " (large trainings take 4 to 60 million)"
    case 60_000_001...: " (more than the usual 60 million: expect slower convergence a token)"
    default: " (within the usual 4 to 60 million)"
    }
  }

  private static func comment(sequence: Int) -> String {
    (2048...8192).contains(sequence) ? " (2 to 8 thousand are reliable)" : ""
  }
}
