import ApusConfiguration
import Testing

@Suite struct NearestNameTests {
  @Test func distances() {
    #expect(editDistance("", "") == 0)
    #expect(editDistance("", "abc") == 3)
    #expect(editDistance("kitten", "sitting") == 3)
    #expect(editDistance("setps", "steps") == 1)
  }

  @Test func nearest() {
    #expect(nearestName(to: "gradient_clipp1ng", in: ["gradient_clip", "steps"]) == "gradient_clip")
    #expect(nearestName(to: "STEPS", in: ["gradient_clip", "steps"]) == "steps")
    #expect(nearestName(to: "weather", in: ["gradient_clip", "steps"]) == nil)
    #expect(nearestName(to: "xy", in: ["dp", "tp"]) == nil)
  }
}
