import Foundation
import Testing

@Suite struct ProfileCommandTests {
  /// A process of its own, because the allocator's counts are those of the whole process: after start-up a step takes
  /// no memory that grows with the model, neither kept nor for a while. The model has 9 MB of parameters and as much of
  /// gradients; three steps stay below a megabyte of new pages and a few kilobytes of heap.
  @Test func stepsAllocateNothingThatGrows() throws {
    let folder = try ProgramFolder()
    let outcome = try folder.apus(["profile", "llama-tiny", "--micro-batch", "2", "--steps", "1", "--json"])
    #expect(outcome.status == 0, "\(outcome.error)")
    let memory = try #require(try outcome.json()["memory"] as? [String: Any])
    #expect(try #require(memory["heap_growth_bytes"] as? Int) < 1 << 16)
    #expect(try #require(memory["page_faults"] as? Int) * 4096 < 1 << 20)
    #expect(
      try folder.names() == [
        "profiles", "profiles/llama-tiny", "profiles/llama-tiny/profile.html",
        "profiles/llama-tiny/profile.json",
        "profiles/llama-tiny/trace.json",
      ])
    // Nothing is overwritten.
    let second = try folder.apus(["profile", "llama-tiny"])
    #expect(second.status == 1 && second.error.contains("--output profiles/llama-tiny-2"))
  }
}
