/// What fixes a model's shape: everything needed to record its step and to enumerate its parameters.
public struct ModelConfiguration: Hashable, Sendable, Codable {
  /// The two architectures that Apus writes down.
  public enum Family: String, Hashable, Sendable, Codable, CaseIterable {
    /// Layer norm, GELU (tanh form), learned positions, biases, tied head (Radford et al. 2019).
    case gpt2
    /// RMS norm, SwiGLU, rotary positions, grouped-query attention (Touvron et al. 2023; Llama 3, 2024).
    case llama
  }

  /// Llama 3.1's stretching of the rotary frequencies for long contexts.
  public struct RopeScaling: Hashable, Sendable, Codable {
    public var factor: Double
    public var lowFrequencyFactor: Double
    public var highFrequencyFactor: Double
    public var originalMaximumPosition: Int

    public init(
      factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaximumPosition: Int
    ) {
      self.factor = factor
      self.lowFrequencyFactor = lowFrequencyFactor
      self.highFrequencyFactor = highFrequencyFactor
      self.originalMaximumPosition = originalMaximumPosition
    }
  }

  /// A mixture of experts in place of each layer's feed-forward block: a router sends each token to some of many blocks
  /// of the intermediate size (Shazeer et al. 2017).
  public struct Experts: Hashable, Sendable, Codable {
    public var count: Int
    /// Experts that each token goes to.
    public var perToken: Int
    /// Tokens that an expert has room for, as a multiple of its share of an even load.
    public var capacityFactor: Double

    public init(count: Int, perToken: Int, capacityFactor: Double = 1) {
      self.count = count
      self.perToken = perToken
      self.capacityFactor = capacityFactor
    }
  }

  public var family: Family
  public var vocabularySize: Int
  /// The longest sequence the model accepts; for GPT-2 the number of learned positions.
  public var maximumSequenceLength: Int
  public var layerCount: Int
  public var hiddenSize: Int
  public var headCount: Int
  public var keyValueHeadCount: Int
  /// Elements of one head; even, at most 256.
  public var headSize: Int
  public var intermediateSize: Int
  public var tiedEmbeddings: Bool
  public var normEpsilon: Double
  public var ropeTheta: Double
  public var ropeScaling: RopeScaling?
  /// nil for one feed-forward block a layer. Of the family llama.
  public var experts: Experts?

  public init(
    family: Family, vocabularySize: Int, maximumSequenceLength: Int, layerCount: Int, hiddenSize: Int,
    headCount: Int, keyValueHeadCount: Int? = nil, headSize: Int? = nil, intermediateSize: Int? = nil,
    tiedEmbeddings: Bool = true, normEpsilon: Double = 1e-5, ropeTheta: Double = 10_000,
    ropeScaling: RopeScaling? = nil, experts: Experts? = nil
  ) {
    self.family = family
    self.vocabularySize = vocabularySize
    self.maximumSequenceLength = maximumSequenceLength
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount ?? headCount
    self.headSize = headSize ?? hiddenSize / headCount
    self.intermediateSize = intermediateSize ?? 4 * hiddenSize
    self.tiedEmbeddings = tiedEmbeddings
    self.normEpsilon = normEpsilon
    self.ropeTheta = ropeTheta
    self.ropeScaling = ropeScaling
    self.experts = experts
  }
}
