import ApusModels
import Testing

/// Parameters in closed form, written independently of the code that enumerates them.
private func parameterCount(_ m: ModelConfiguration) -> Int {
  let h = m.hiddenSize
  let queries = m.headCount * m.headSize
  let keysAndValues = 2 * m.keyValueHeadCount * m.headSize
  let tables = m.vocabularySize * h * (m.tiedEmbeddings ? 1 : 2)
  switch m.family {
  case .gpt2:
    // Domain reference S9, plus the learned positions.
    return tables + m.maximumSequenceLength * h + m.layerCount * (12 * h * h + 13 * h) + 2 * h
  case .llama:
    let attention = h * (queries + keysAndValues) + queries * h
    return tables + m.layerCount * (attention + 3 * h * m.intermediateSize + 2 * h) + h
  }
}

@Suite struct PresetTests {
  @Test(arguments: [
    ("gpt2-124m", 124_439_808), ("gpt2-350m", 354_823_168), ("gpt2-774m", 774_030_080),
    ("gpt2-1558m", 1_557_611_200), ("llama-3.2-1b", 1_235_814_400), ("llama-3.2-3b", 3_212_749_824),
    ("llama-3-8b", 8_030_261_248), ("llama-3-70b", 70_553_706_496), ("llama-3-405b", 405_853_388_800),
  ])
  func publishedCount(name: String, count: Int) throws {
    #expect(parameterCount(try #require(ModelPresets.named(name))) == count)
  }

  @Test(arguments: [
    ("bench-1.34b", 1.342), ("bench-3.57b", 3.574), ("bench-8.86b", 8.858), ("bench-80b", 79.994),
  ])
  func benchmarkCount(name: String, billions: Double) throws {
    // The published names count without the norm weights.
    let shape = try #require(ModelPresets.named(name))
    let count = Double(parameterCount(shape) - (2 * shape.layerCount + 1) * shape.hiddenSize)
    #expect((count / 1e6).rounded() / 1e3 == billions)
  }

  @Test func smallModels() throws {
    var tiny = try #require(ModelPresets.named("llama-tiny"))
    #expect(tiny.vocabularySize == 0)
    tiny.vocabularySize = 4096
    #expect(parameterCount(tiny) == 2_361_024)
    #expect(tiny.keyValueHeadCount < tiny.headCount)
    var small = try #require(ModelPresets.named("llama-small"))
    small.vocabularySize = 4096
    #expect(parameterCount(small) == 5_475_584)
    let medium = try #require(ModelPresets.named("llama-110m"))
    #expect((100_000_000...120_000_000).contains(parameterCount(medium)))
    #expect(medium.tiedEmbeddings)
  }

  @Test func namesAreUniqueAndFound() {
    #expect(Set(ModelPresets.names).count == ModelPresets.all.count)
    #expect(ModelPresets.names.count == 16)
    #expect(ModelPresets.named("llama-4") == nil)
  }

  @Test func everyPresetIsAPossibleShape() {
    for preset in ModelPresets.all {
      let m = preset.shape
      #expect(m.headCount.isMultiple(of: m.keyValueHeadCount), "\(preset.name)")
      #expect(m.headSize.isMultiple(of: 2) && m.headSize <= 256, "\(preset.name)")
      #expect(m.headCount * m.headSize == m.hiddenSize, "\(preset.name)")
    }
  }

  @Test func longContexts() throws {
    let small = try #require(ModelPresets.named("llama-3.2-1b"))
    #expect(small.ropeScaling?.factor == 32 && small.maximumSequenceLength == 131_072)
    let large = try #require(ModelPresets.named("llama-3-405b"))
    #expect(large.ropeScaling?.factor == 8 && large.ropeScaling?.originalMaximumPosition == 8192)
    #expect(try #require(ModelPresets.named("llama-3-8b")).ropeScaling == nil)
  }
}
