/// What training keeps from forward for backward; the rest is computed again (Chen et al. 2016; S14).
public enum RecomputationPolicy: String, Hashable, Sendable, Codable, CaseIterable {
  /// Everything that backward reads is kept.
  case none
  /// Norms, activation functions and gates are computed again from what they read: cheap work on large
  /// results. With tiled attention no score matrix exists that could be dropped (S16 names one).
  case selective
  /// Only the inputs of layers are kept (S15).
  case full
}

/// A policy for some of the layers.
public struct LayerRecomputation: Hashable, Sendable, Codable {
  public var policy: RecomputationPolicy
  public var layers: LayerSet

  public init(_ policy: RecomputationPolicy, layers: LayerSet) {
    self.policy = policy
    self.layers = layers
  }
}

/// What a user asks for: policies, or memory to fit in.
public enum RecomputationRequest: Hashable, Sendable, Codable {
  /// One policy for the whole model.
  case policy(RecomputationPolicy)
  /// Policies for some layers; whatever none of them names keeps everything.
  case layers([LayerRecomputation])
  /// As little recomputation as lets the plan fit into so many bytes.
  case budget(bytes: Int)

  public static let none = RecomputationRequest.policy(.none)
  public static let selective = RecomputationRequest.policy(.selective)
  public static let full = RecomputationRequest.policy(.full)
}

/// What a program is recorded with.
package enum RecomputationSettings: Hashable, Sendable {
  /// One policy for the whole forward pass, what stands before and behind the layers included.
  case uniform(RecomputationPolicy)
  /// Policies for some layers; whatever none of them names keeps everything.
  case layers([LayerRecomputation])
  /// Exactly these instructions of the recorded forward segment, by position, are not kept: what a byte budget
  /// comes to.
  case repeating(Set<Int>)

  package static let none = RecomputationSettings.uniform(.none)
  package static let selective = RecomputationSettings.uniform(.selective)
  package static let full = RecomputationSettings.uniform(.full)
}
