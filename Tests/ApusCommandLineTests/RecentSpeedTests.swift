import Testing
import apus_cli

@Suite struct RecentSpeedTests {
  /// The median of this measurement and those before it, nine at most, each way of sharing the machine by itself.
  @Test func medianOfTheLastNine() {
    var speed = RecentSpeed()
    #expect(speed.add(1.3, sharing: "1x2") == 1)
    #expect(speed.add(0.9, sharing: "2x1") == 1)
    _ = speed.add(1.2, sharing: "1x2")
    #expect(speed.add(1.1, sharing: "1x2") == 1.1)
    for _ in 0..<8 { _ = speed.add(2, sharing: "1x2") }
    #expect(speed.add(2.5, sharing: "1x2") == 2)
    for _ in 0..<4 { _ = speed.add(3, sharing: "1x2") }
    #expect(speed.add(3, sharing: "1x2") == 3)
    #expect(speed.add(0.9, sharing: "2x1") == 1)
    #expect(speed.add(0.8, sharing: "2x1") == 0.9)
  }
}
