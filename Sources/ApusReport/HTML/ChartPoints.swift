/// A series of a chart, and the ways to make a long one short.
package struct ChartPoints: Encodable, Equatable {
  package var points: [Point]

  package struct Point: Encodable, Equatable {
    package var x: Double
    package var y: Double

    package init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }

    /// As `[x, y]`: short in the page.
    package func encode(to encoder: any Encoder) throws {
      var pair = encoder.unkeyedContainer()
      try pair.encode(x)
      try pair.encode(y)
    }
  }

  package func encode(to encoder: any Encoder) throws { try points.encode(to: encoder) }

  /// One number of every record that has it; a number that is not finite has no place on a chart.
  package init(_ records: [StepRecord], _ key: StepRecord.CodingKeys) {
    points = records.compactMap { record in
      guard let value = record.value(key), value.isFinite else { return nil }
      return Point(x: Double(record.step), y: value)
    }
  }

  /// At most `count` points: of each of count / 2 stretches the lowest and the highest, so that no
  /// spike is lost.
  package func keepingExtremes(atMost count: Int) -> ChartPoints {
    guard points.count > count, count >= 2 else { return self }
    var kept: [Point] = []
    for stretch in stretches(count / 2) {
      let lowest = stretch.min { points[$0].y < points[$1].y } ?? stretch.lowerBound
      let highest = stretch.max { points[$0].y < points[$1].y } ?? stretch.lowerBound
      kept.append(points[min(lowest, highest)])
      if lowest != highest { kept.append(points[max(lowest, highest)]) }
    }
    return ChartPoints(points: kept)
  }

  /// At most `count` points, each the mean of a stretch: for series that are stacked and so must keep
  /// the same places.
  package func averaged(to count: Int) -> ChartPoints {
    guard points.count > count, count >= 1 else { return self }
    return ChartPoints(
      points: stretches(count).map { stretch in
        let sum = stretch.reduce(0.0) { $0 + points[$1].y }
        return Point(x: points[stretch.upperBound - 1].x, y: sum / Double(stretch.count))
      })
  }

  /// The exponential moving average over about `span` points, corrected for its start as Adam's
  /// moments are (Kingma and Ba 2015, section 3). Early on it spans a tenth of the points so far: a loss
  /// falls too steeply there for a long average to follow.
  package func smoothed(over span: Double) -> ChartPoints {
    var mean = 0.0
    var weight = 1.0
    return ChartPoints(
      points: points.enumerated().map { index, point in
        let decay = 1 - 1 / max(1, min(span, 1 + Double(index) / 10))
        mean = decay * mean + (1 - decay) * point.y
        weight *= decay
        return Point(x: point.x, y: mean / (1 - weight))
      })
  }

  private init(points: [Point]) { self.points = points }

  private func stretches(_ count: Int) -> [Range<Int>] {
    (0..<count).map { points.count * $0 / count..<points.count * ($0 + 1) / count }
  }
}
