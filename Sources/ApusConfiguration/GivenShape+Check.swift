import ApusModels

extension GivenShape {
  /// Notes combinations that no model can have. Each check needs its own keys to be free of problems.
  func check(_ shape: ModelConfiguration, in reader: inout SectionReader) {
    checkHeads(shape, in: &reader)
    switch shape.family {
    case .gpt2: checkGPT2(shape, in: &reader)
    case .llama: break
    }
    if let experts = shape.experts {
      if experts.perToken > experts.count {
        reader.report(
          "experts_per_token", "a token cannot go to \(experts.perToken) of \(experts.count) experts",
          "use at most \(experts.count)")
      }
    } else if reader.isGood("experts") {
      reader.refuse(
        "experts_per_token", because: "has no effect without experts", "write experts, or remove it")
    }
  }

  private func checkHeads(_ shape: ModelConfiguration, in reader: inout SectionReader) {
    guard reader.isGood("preset", "heads", "hidden_size", "key_value_heads", "head_size", "family") else {
      return
    }
    let heads = shape.headCount
    if !heads.isMultiple(of: shape.keyValueHeadCount) {
      let key = reader.has("key_value_heads") ? "key_value_heads" : "heads"
      reader.report(
        key, "\(shape.keyValueHeadCount) key-value heads do not divide \(heads) heads",
        "use \(alternatives(divisors(of: heads).map(String.init))) key-value heads")
    }
    if !reader.has("head_size"), reader.has("hidden_size") || reader.has("heads"),
      !shape.hiddenSize.isMultiple(of: heads)
    {
      let (below, above) = multiples(of: heads, around: shape.hiddenSize)
      let sizes = below > 0 ? "\(below) or \(above)" : "\(above)"
      reader.report(
        reader.has("hidden_size") ? "hidden_size" : "heads",
        "\(heads) heads do not divide the hidden size \(shape.hiddenSize)",
        "use a hidden size of \(sizes), or write head_size")
    } else if !shape.headSize.isMultiple(of: 2) || shape.headSize > 256 {
      let key = reader.has("head_size") ? "head_size" : reader.has("heads") ? "heads" : "hidden_size"
      let origin = reader.has("head_size") ? "" : " (hidden size \(shape.hiddenSize) / \(heads) heads)"
      reader.report(
        key, "the head size is \(shape.headSize)\(origin), but must be even and at most 256",
        "use 64 or 128, or change hidden_size or heads")
    }
  }

  private func checkGPT2(_ shape: ModelConfiguration, in reader: inout SectionReader) {
    if reader.isGood("heads", "hidden_size", "head_size"),
      shape.headCount * shape.headSize != shape.hiddenSize
    {
      let key = reader.has("head_size") ? "head_size" : reader.has("hidden_size") ? "hidden_size" : "heads"
      reader.report(
        key,
        "GPT-2 needs heads x head_size = hidden_size, but \(shape.headCount) x \(shape.headSize) is "
          + "\(shape.headCount * shape.headSize), not \(shape.hiddenSize)",
        shape.hiddenSize.isMultiple(of: shape.headCount)
          ? "use a head size of \(shape.hiddenSize / shape.headCount)"
          : "use heads that divide the hidden size")
    }
    if reader.isGood("heads", "key_value_heads"), shape.keyValueHeadCount != shape.headCount {
      reader.report(
        reader.has("key_value_heads") ? "key_value_heads" : "family",
        "GPT-2 has no grouped-query attention: \(shape.keyValueHeadCount) key-value heads, "
          + "\(shape.headCount) heads",
        "use \(shape.headCount) key-value heads, or the family llama")
    }
    for key in ["rope_theta", "rope_scaling"] {
      reader.refuse(key, because: "GPT-2 learns its positions and rotates nothing")
    }
    reader.refuse("experts", because: "GPT-2 has one feed-forward block a layer", "use the family llama")
  }
}

/// The divisors of a positive number, ascending: the valid choices that a message lists.
func divisors(of number: Int) -> [Int] {
  var small: [Int] = []
  var large: [Int] = []
  var candidate = 1
  while candidate * candidate <= number {
    if number.isMultiple(of: candidate) {
      small.append(candidate)
      if candidate != number / candidate { large.append(number / candidate) }
    }
    candidate += 1
  }
  return small + large.reversed()
}

/// The nearest multiples of `step` at or below and above a number.
func multiples(of step: Int, around number: Int) -> (below: Int, above: Int) {
  let below = number / step * step
  return (below, below + step)
}
