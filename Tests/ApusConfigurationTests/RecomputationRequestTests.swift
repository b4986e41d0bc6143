import ApusConfiguration
import ApusProgram
import Testing

@Suite struct RecomputationRequestTests {
  private func request(_ yaml: String) throws -> RecomputationRequest {
    let configuration = try Configuration.parse(
      yaml: minimal, name: "job.yaml", overrides: ["training.recomputation=\(yaml)"])
    // What is printed says the same.
    let again = try Configuration.parse(yaml: configuration.resolvedYAML, name: "job.yaml")
    #expect(again == configuration)
    return configuration.training.recomputation
  }

  @Test func policiesLayersAndBudgets() throws {
    #expect(try request("full") == .full)
    #expect(try request("{policy: selective}") == .selective)
    #expect(
      try request("{policy: full, layers: 0-2}")
        == .layers([LayerRecomputation(.full, layers: LayerSet(0...2))]))
    #expect(
      try request("[{policy: full, layers: 5}, {policy: selective, layers: [0, 2-3]}]")
        == .layers([
          LayerRecomputation(.full, layers: LayerSet([5])),
          LayerRecomputation(.selective, layers: LayerSet([0, 2, 3])),
        ]))
    for (text, bytes) in [
      ("6 GiB", 6 << 30), ("1.5MiB", 3 << 19), ("80 GB", 80_000_000_000), ("123_456", 123_456),
      ("2kib", 2048),
    ] { #expect(try request("{budget: \(text)}") == .budget(bytes: bytes)) }
  }

  @Test func mistakesAreNamed() {
    func problem(_ yaml: String) -> [String] { overrideProblems("training.recomputation=\(yaml)") }
    let at = "--set training.recomputation"
    #expect(
      problem("ful") == [#"\#(at): "ful" is not known; did you mean full? valid are none, selective or full"#]
    )
    #expect(
      problem("{policy: full, layers: 4-6}")
        == ["\(at).layers: layer 6 does not exist: the model has 6; name layers from 0 to 5"])
    #expect(
      problem("{policy: full, layers: 3-1}")
        == [
          "\(at).layers: found the text \"3-1\", expected numbers and ranges counted from 0, such as 0-5,8; "
            + "write numbers and ranges counted from 0, such as 0-5,8"
        ])
    #expect(problem("{layers: 1}") == ["\(at).policy: is missing; write none, selective or full"])
    #expect(
      problem("[{policy: full}]") == [
        "\(at)[0].layers: is missing; write the layers it is for, such as 0-5,8"
      ])
    #expect(problem("[]").count == 1)
    #expect(
      problem("[{policy: full, layers: 0-2}, {policy: selective, layers: 2}]")
        == ["\(at): layer 2 is named by entries 0 and 1; name each layer once"])
    #expect(
      problem("{budget: 1 GiB, policy: full}")
        == ["\(at).policy: cannot go with budget, which picks by itself; remove it"])
    #expect(problem("{budget: lots}").first?.contains("\"lots\" is no size") == true)
    #expect(problem("{budget: 0}").count == 1)
    #expect(problem("{budgets: 1 GiB}").contains("\(at).budgets: is an unknown key; did you mean budget?"))
  }
}
