/// How many samples an optimizer step has, and how they are spread: `GBS = MBS x GA x DP`.
///
/// GBS is the global batch in samples, MBS the micro-batch, GA the gradient accumulation steps and DP the
/// data-parallel degree; a batch in tokens is GBS x sequence length. Source: domain reference S5, S24.
public struct BatchPlan: Hashable, Sendable {
  public var microBatchSize: Int
  public var gradientAccumulation: Int
  public var dataParallelDegree: Int

  /// The samples of one optimizer step on all replicas.
  public var globalBatchSize: Int { microBatchSize * gradientAccumulation * dataParallelDegree }

  /// The largest batch of samples or tokens that is accepted.
  static let largest = 1 << 40

  /// What the user fixed; nil is to be found.
  public struct Request: Hashable, Sendable {
    public var microBatchSize: Int?
    public var gradientAccumulation: Int?
    public var globalBatchSize: Int?
    public var globalBatchTokens: Int?

    public init(
      microBatchSize: Int? = nil, gradientAccumulation: Int? = nil, globalBatchSize: Int? = nil,
      globalBatchTokens: Int? = nil
    ) {
      self.microBatchSize = microBatchSize
      self.gradientAccumulation = gradientAccumulation
      self.globalBatchSize = globalBatchSize
      self.globalBatchTokens = globalBatchTokens
    }
  }

  /// Why no plan exists: the key to blame, and the nearest valid values.
  public struct Conflict: Error, Hashable, Sendable {
    public var key: String
    public var message: String
    public var remedy: String
  }

  /// The micro-batch that is taken, or approached from below, when nothing fixes it.
  static let preferredMicroBatchSize = 8

  /// Finds the missing factors.
  ///
  /// With a global batch and one factor, the other follows. With a global batch alone, the micro-batch is
  /// the largest divisor of the samples a replica up to 8. Without a global batch, a missing micro-batch
  /// is 8 and a missing accumulation 1. All numbers must be positive.
  public init(
    _ request: Request, dataParallelDegree dp: Int, sequenceLength: Int
  ) throws(Conflict) {
    dataParallelDegree = dp
    try Self.checkFactors(request, dp, sequenceLength)
    guard let (batch, key) = try Self.globalBatch(request, dp, sequenceLength) else {
      microBatchSize = request.microBatchSize ?? Self.preferredMicroBatchSize
      gradientAccumulation = request.gradientAccumulation ?? 1
      try checkSize(sequenceLength, key: "micro_batch_size")
      return
    }
    // Errors are told in the unit that the user wrote.
    let unit = key == "global_batch_tokens" ? sequenceLength : 1
    let unitName = unit == 1 ? "samples" : "tokens"
    switch (request.microBatchSize, request.gradientAccumulation) {
    case (let mbs?, let ga?):
      guard mbs * ga * dp == batch else {
        throw Conflict(
          key: key,
          message: "\(batch) samples are not micro-batch \(mbs) x accumulation \(ga) x \(dp) replicas = "
            + "\(mbs * ga * dp) samples",
          remedy: "use \(mbs * ga * dp * unit) \(unitName), or remove one of the factors")
      }
      (microBatchSize, gradientAccumulation) = (mbs, ga)
    case (let mbs?, nil):
      gradientAccumulation = try Self.quotient(
        batch, by: mbs * dp, key, "micro-batch \(mbs) x \(dp) replicas", unit, unitName)
      microBatchSize = mbs
    case (nil, let ga?):
      microBatchSize = try Self.quotient(
        batch, by: ga * dp, key, "accumulation \(ga) x \(dp) replicas", unit, unitName)
      gradientAccumulation = ga
    case (nil, nil):
      let samples = try Self.quotient(batch, by: dp, key, "\(dp) replicas", unit, unitName)
      var mbs = min(Self.preferredMicroBatchSize, samples)
      while !samples.isMultiple(of: mbs) { mbs -= 1 }
      (microBatchSize, gradientAccumulation) = (mbs, samples / mbs)
    }
    try checkSize(sequenceLength, key: key)
  }

  /// Refuses factors whose product is absurd, before anything is multiplied without a check.
  private static func checkFactors(
    _ request: Request, _ dp: Int, _ sequenceLength: Int
  ) throws(Conflict) {
    if let size = request.globalBatchSize, size > largest / sequenceLength {
      throw tooLarge("global_batch_size")
    }
    var product = sequenceLength
    for (key, factor) in [
      ("micro_batch_size", dp), ("micro_batch_size", request.microBatchSize ?? 1),
      ("gradient_accumulation", request.gradientAccumulation ?? 1),
    ] {
      let (next, overflow) = product.multipliedReportingOverflow(by: factor)
      guard !overflow, next <= largest else { throw tooLarge(key) }
      product = next
    }
  }

  private func checkSize(_ sequenceLength: Int, key: String) throws(Conflict) {
    let (tokens, overflow) = globalBatchSize.multipliedReportingOverflow(by: sequenceLength)
    guard !overflow, tokens <= Self.largest else { throw Self.tooLarge(key) }
  }

  private static func tooLarge(_ key: String) -> Conflict {
    Conflict(
      key: key, message: "the global batch has more than \(largest) tokens", remedy: "use a smaller one")
  }

  /// The batch in samples and the key that fixes it, or nil when none does.
  private static func globalBatch(
    _ request: Request, _ dp: Int, _ sequenceLength: Int
  ) throws(Conflict) -> (batch: Int, key: String)? {
    guard let tokens = request.globalBatchTokens else {
      return request.globalBatchSize.map { ($0, "global_batch_size") }
    }
    guard tokens.isMultiple(of: sequenceLength) else {
      // Values that satisfy the other factors too, so that one correction is enough.
      let samples = dp * (request.microBatchSize ?? 1) * (request.gradientAccumulation ?? 1)
      let (below, above) = multiples(of: samples * sequenceLength, around: tokens)
      throw Conflict(
        key: "global_batch_tokens",
        message: "\(tokens) tokens are no whole number of sequences of \(sequenceLength) tokens",
        remedy: below > 0 ? "use \(below) or \(above)" : "use \(above)")
    }
    let samples = tokens / sequenceLength
    if let size = request.globalBatchSize, size != samples {
      throw Conflict(
        key: "global_batch_tokens",
        message:
          "\(tokens) tokens are \(samples) samples of \(sequenceLength), but global_batch_size is \(size)",
        remedy: "remove one of the two, or use \(size * sequenceLength) tokens")
    }
    return (samples, "global_batch_tokens")
  }

  private static func quotient(
    _ batch: Int, by step: Int, _ key: String, _ factors: String, _ unit: Int, _ unitName: String
  ) throws(Conflict) -> Int {
    guard batch.isMultiple(of: step) else {
      let (below, above) = multiples(of: step, around: batch)
      let valid = below > 0 ? "\(below * unit) or \(above * unit)" : "\(above * unit)"
      throw Conflict(
        key: key, message: "\(batch) samples cannot be divided among \(factors)",
        remedy: "use \(valid) \(unitName)")
    }
    return batch / step
  }
}
