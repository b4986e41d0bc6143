import ApusCheckpoint
import ApusCore
import Foundation
import Testing

/// What a trainer would save beside its tensors.
struct TrainerState: Codable, Equatable {
  var step: Int
  var dataPosition: Int
  var seeds: [UInt64]
  var bestLoss: Double
}

/// Owns numbers that pieces point at.
final class Numbers {
  let buffer: UnsafeMutableBufferPointer<Float>

  init(_ numbers: [Float]) {
    buffer = .allocate(capacity: numbers.count)
    _ = buffer.initialize(from: numbers)
  }

  deinit { buffer.deallocate() }

  func piece(_ name: String, of shape: [Int], _ box: Box? = nil) -> CheckpointPiece {
    CheckpointPiece(
      tensor: name, type: .float32, globalShape: shape, box: box, bytes: UnsafeRawBufferPointer(buffer),
      owner: self)
  }
}

@Suite struct CheckpointStoreTests {
  private let state = TrainerState(step: 100, dataPosition: 12_345, seeds: [.max, 1], bestLoss: .infinity)

  private func save(_ store: CheckpointStore, step: Int, value: Float = 1) throws {
    let numbers = Numbers([value, 2, 3, 4])
    try store.save(
      step: step, files: [CheckpointFile(name: "rank-00000", pieces: [numbers.piece("w", of: [2, 2])])],
      state: state)
  }

  @Test func tensorsAndStateComeBack() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url.appendingPathComponent("checkpoints"))
    #expect(try store.latest().checkpoint == nil)
    try save(store, step: 100)
    #expect(
      try scratch.names("checkpoints/step-00000100")
        == ["manifest.json", "manifest.json.xxh64", "rank-00000.safetensors", "state.json"])
    let (found, skipped) = try store.latest()
    let checkpoint = try #require(found)
    #expect(skipped == [] && checkpoint.step == 100)
    #expect(try checkpoint.state(as: TrainerState.self) == state)
    #expect(try numbers("w", in: checkpoint) == [1, 2, 3, 4])
    #expect(checkpoint.holds("w") && !checkpoint.holds("v"))
    #expect(throws: CheckpointError.self) { try numbers("v", in: checkpoint) }
    #expect(
      throws: CheckpointError.outsideTensor(
        name: "w", requested: "the slice at [1, 0] of extents [2, 2]", shape: [2, 2])
    ) { try slice("w", [1, 0], [2, 2], in: checkpoint) }
    #expect(message { _ = try checkpoint.state(as: [Int].self) }.contains("does not hold the expected state"))
    #expect(throws: CheckpointError.noSuchStep(step: 7, folder: store.folder.path, available: [100])) {
      try store.open(step: 7)
    }
  }

  @Test func anyLayoutReadsAnyOther() throws {
    // A [6, 4] tensor in columns over two ranks, the right one again in rows; and a flattened range.
    let scratch = Scratch()
    let all = (0..<24).map { Float($0) }
    func part(_ box: Box) -> Numbers {
      Numbers(
        (0..<box.extents[0]).flatMap { i in
          (0..<box.extents[1]).map { j in all[(box.start[0] + i) * 4 + box.start[1] + j] }
        })
    }
    let boxes = [
      Box(start: [0, 0], extents: [6, 1]), Box(start: [0, 1], extents: [2, 3]),
      Box(start: [2, 1], extents: [4, 3]),
    ]
    let owners = boxes.map(part)
    let flat = [0..<7, 7..<18, 18..<24].map { Box.covering($0, of: [6, 4]) }
    let flatOwners = flat.map { $0.map(part) }
    let files = (0..<3).map { rank in
      CheckpointFile(
        name: "rank-\(rank)",
        pieces: [owners[rank].piece("columns", of: [6, 4], boxes[rank])]
          + zip(flat[rank], flatOwners[rank]).map { $1.piece("flat", of: [6, 4], $0) })
    }
    let store = CheckpointStore(folder: scratch.url)
    let manifest = try store.save(step: 3, files: files, state: state)
    #expect(manifest.tensors.map(\.pieces.count) == [3, 7])
    let checkpoint = try store.open(step: 3)
    for name in ["columns", "flat"] {
      #expect(try numbers(name, in: checkpoint) == all)
      for top in 0..<6 {
        for left in 0..<4 {
          let extents = [6 - top, min(2, 4 - left)]
          let expected = (top..<6).flatMap { i in (left..<left + extents[1]).map { all[i * 4 + $0] } }
          #expect(try slice(name, [top, left], extents, in: checkpoint) == expected)
        }
      }
    }
  }

  @Test func piecesThatDoNotMakeATensorAreRefused() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url)
    let two = Numbers([1, 2])
    let other = Numbers([1, 2, 3])
    func attempt(_ pieces: [CheckpointPiece]) throws {
      let files = pieces.enumerated().map { CheckpointFile(name: "r\($0.offset)", pieces: [$0.element]) }
      try store.save(step: 1, files: files, state: state)
    }
    #expect(throws: CheckpointError.incompleteTensor(name: "w", problem: "2 of 4 elements are there")) {
      try attempt([two.piece("w", of: [4], Box(start: [1], extents: [2]))])
    }
    let overlapping = [
      two.piece("w", of: [4], Box(start: [0], extents: [2])),
      other.piece("w", of: [4], Box(start: [1], extents: [3])),
    ]
    #expect(message { try attempt(overlapping) }.contains("overlap"))
    let apart = [Box(start: [2, 0], extents: [2, 1]), Box(start: [0, 1], extents: [3, 1])]
    #expect(
      message {
        try attempt([two.piece("w", of: [4, 2], apart[0]), other.piece("w", of: [4, 2], apart[1])])
      }
      .contains("5 of 8 elements are there"))
    let different = [two.piece("w", of: [2]), other.piece("w", of: [3])]
    #expect(message { try attempt(different) }.contains("one piece says float32 [2], another float32 [3]"))
    #expect(try scratch.names() == [])
  }

  @Test func tornCheckpointsAreSkippedWithAWord() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url)
    for step in [1, 2, 3, 4, 5, 6] { try save(store, step: step, value: Float(step)) }
    var weights = try scratch.read("step-00000006/rank-00000.safetensors")
    weights[weights.count - 1] ^= 1
    try scratch.write(weights, "step-00000006/rank-00000.safetensors")
    try scratch.write(Array(weights.dropLast()), "step-00000005/rank-00000.safetensors")
    try FileManager.default.removeItem(atPath: scratch.path("step-00000004/manifest.json"))
    var manifest = try scratch.read("step-00000003/manifest.json")
    manifest[30] ^= 1
    try scratch.write(manifest, "step-00000003/manifest.json")
    try FileManager.default.removeItem(atPath: scratch.path("step-00000002/state.json"))

    let (found, skipped) = try store.latest()
    #expect(found?.step == 1)
    let words = [
      "checksum", "bytes", "manifest.json is missing", "does not match its checksum", "state.json is missing",
    ]
    #expect(skipped.count == 5)
    for (line, word) in zip(skipped, words) { #expect(line.contains(word)) }

    let summaries = try store.inspect()
    #expect(summaries.map { $0.damage == nil } == [true, false, false, false, false, false])
    #expect(summaries[0].tensors.map(\.name) == ["w"] && summaries[0].state?.contains("12345") == true)
    #expect(
      try JSONDecoder().decode([CheckpointSummary].self, from: JSONEncoder().encode(summaries)) == summaries)
    // Without reading everything the flipped bit stays unseen.
    #expect(try store.inspect(verifying: false).last?.damage == nil)
    // A torn checkpoint is replaced when training comes to its step again.
    try save(store, step: 6, value: 66)
    #expect(try numbers("w", in: #require(store.latest().checkpoint)).first == 66)
  }

  @Test func laterFormatsAreNotMistakenForDamage() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url)
    try save(store, step: 1)
    let text = String(decoding: try scratch.read("step-00000001/manifest.json"), as: UTF8.self)
    let later = Array(
      text.replacingOccurrences(of: "\"formatVersion\" : 1", with: "\"formatVersion\" : 2").utf8)
    try scratch.write(later, "step-00000001/manifest.json")
    try scratch.write(
      Array((CheckpointDraft.checksum(of: later) + "\n").utf8), "step-00000001/manifest.json.xxh64")
    #expect(
      throws: CheckpointError.newerFormat(path: scratch.path("step-00000001"), version: 2, supported: 1)
    ) { try store.latest() }
  }

  @Test func leftoversGoAndInterruptedReplacementsComeBack() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url)
    try save(store, step: 1)
    try save(store, step: 2)
    try FileManager.default.moveItem(
      atPath: scratch.path("step-00000002"), toPath: scratch.path("step-00000002.replaced"))
    try FileManager.default.createDirectory(
      atPath: scratch.path("step-00000002.partial"), withIntermediateDirectories: true)
    try scratch.write([1], "step-00000002.partial/rank-00000.safetensors")
    #expect(try store.steps() == [1])
    #expect(try store.prepare() == ["step-00000002.partial", "step-00000002.replaced"])
    #expect(try scratch.names() == ["step-00000001", "step-00000002"])
    #expect(try store.latest().checkpoint?.step == 2)
  }

  @Test func onlyTheNewestStay() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url, keep: 2)
    for step in [5, 10, 20, 100_000_000] { try save(store, step: step) }
    #expect(try store.steps() == [20, 100_000_000])
    #expect(try scratch.names() == ["step-00000020", "step-100000000"])
  }

  @Test func aDiskWithoutRoomIsRefusedBeforeWriting() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url)
    try save(store, step: 1)
    let refusal = message { _ = try store.begin(step: 2, bytesNeeded: 1 << 60) }
    #expect(refusal.contains("needs 1024.0 PiB but only"), "\(refusal)")
    #expect(try scratch.names() == ["step-00000001"])
  }

  @Test func theEstimateCoversWhatIsWritten() throws {
    let scratch = Scratch()
    let numbers = Numbers((0..<1000).map { Float($0) })
    let files = (0..<3).map { file in
      CheckpointFile(
        name: "f\(file)", pieces: (0..<40).map { numbers.piece("layer.\(file).\($0)", of: [10, 100]) })
    }
    let manifest = try CheckpointStore(folder: scratch.url).save(step: 1, files: files, state: state)
    for (file, record) in zip(files, manifest.files) { #expect(file.bytesNeeded == record.bytes) }
    let total = try scratch.names("step-00000001").reduce(0) {
      try $0 + scratch.read("step-00000001/" + $1).count
    }
    #expect(total <= CheckpointStore.bytesNeeded(files))
  }

  /// Whatever happens to the small files, a checkpoint opens or is named as damaged.
  @Test func damagedManifestsNeverCrash() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url)
    try save(store, step: 1)
    let sound = try scratch.read("step-00000001/manifest.json")
    var random = Sequence64(state: 11)
    for _ in 0..<200 {
      var bytes = sound
      for _ in 0..<2 {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 32...126, using: &random)
      }
      try scratch.write(bytes, "step-00000001/manifest.json")
      // With a checksum that fits, so that the contents themselves are judged.
      try scratch.write(
        Array((CheckpointDraft.checksum(of: bytes) + "\n").utf8), "step-00000001/manifest.json.xxh64")
      let line = message {
        let checkpoint = try CheckpointReader(opening: store.url(of: 1), verifying: true)
        for tensor in checkpoint.manifest.tensors { _ = try numbers(tensor.name, in: checkpoint) }
      }
      #expect(!line.contains("not a CheckpointError"), "\(line)")
    }
  }
}
