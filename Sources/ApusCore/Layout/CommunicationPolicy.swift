/// When and in what portions ranks communicate; the results are the same under every policy.
public struct CommunicationPolicy: Hashable, Sendable, Codable {
  /// How gradients are summed over replicas (S20 to S22).
  public enum GradientSynchronisation: String, Hashable, Sendable, Codable, CaseIterable {
    /// One all-reduce a tensor, after backward.
    case naive
    /// One collective a bucket, where backward has finished it; backward waits.
    case bucketed
    /// As bucketed, while backward goes on.
    case overlapped
  }

  public var gradients: GradientSynchronisation
  /// Units of parameters are merged until a bucket has this many bytes of gradients; ZeRO-3 merges nothing.
  public var bucketByteCount: Int
  /// How many units ZeRO-3 gathers ahead of the one in use; also how many sums of transient gradients ZeRO-2
  /// and 3 leave under way when overlapped.
  public var prefetchedUnits: Int
  /// Whether sequence parallelism keeps the gathered inputs of matrices for backward, or gathers them again:
  /// memory against two more all-gathers a block.
  public var keepsGatheredInputs: Bool

  public init(
    gradients: GradientSynchronisation = .overlapped, bucketByteCount: Int = 25 << 20,
    prefetchedUnits: Int = 1,
    keepsGatheredInputs: Bool = true
  ) {
    self.gradients = gradients
    self.bucketByteCount = bucketByteCount
    self.prefetchedUnits = prefetchedUnits
    self.keepsGatheredInputs = keepsGatheredInputs
  }
}
