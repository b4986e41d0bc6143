import CApusKernels
import CApusMatrix
import Testing

/// Products against a plain loop in double precision.
struct MatrixProductTests {
  @Test(arguments: [
    ProductCase(m: 1, n: 1, k: 1), ProductCase(m: 1, n: 17, k: 5), ProductCase(m: 17, n: 1, k: 5),
    ProductCase(m: 13, n: 11, k: 1), ProductCase(m: 33, n: 65, k: 31), ProductCase(m: 61, n: 65, k: 129),
    ProductCase(m: 24, n: 211, k: 37), ProductCase(m: 201, n: 35, k: 17),
  ])
  func everyFormAgreesWithAPlainLoop(_ dimensions: ProductCase) throws {
    for form in 0..<32 {
      var product = dimensions
      product.transposeA = form & 1 != 0
      product.transposeB = form & 2 != 0
      product.accumulate = form & 4 != 0
      product.hasBias = form & 8 != 0
      product.padding = form & 16 != 0 ? 3 : 0
      try product.check()
    }
  }

  static let mixedTypes: [[apus_element]] = [
    [APUS_BF16, APUS_BF16, APUS_BF16, APUS_BF16], [APUS_BF16, APUS_BF16, APUS_F32, APUS_F32],
    [APUS_F16, APUS_F16, APUS_F16, APUS_F16], [APUS_F16, APUS_F16, APUS_F32, APUS_F16],
    [APUS_F32, APUS_BF16, APUS_BF16, APUS_F32], [APUS_BF16, APUS_F32, APUS_F32, APUS_BF16],
  ]

  @Test(arguments: mixedTypes, [[1, 1, 1], [13, 11, 1], [33, 65, 31], [61, 35, 129]])
  func everyFormOfA16BitProduct(_ types: [apus_element], _ size: [Int]) throws {
    for form in 0..<32 {
      var product = ProductCase(m: size[0], n: size[1], k: size[2], types: types)
      product.transposeA = form & 1 != 0
      product.transposeB = form & 2 != 0
      product.accumulate = form & 4 != 0
      product.hasBias = form & 8 != 0
      product.padding = form & 16 != 0 ? 3 : 0
      try product.check()
    }
  }

  /// Dimensions beyond one converted block, each in turn.
  @Test(arguments: [[1030, 5, 7], [5, 1030, 7], [5, 7, 2051], [1025, 1026, 3]])
  func aConvertedProductOfSeveralBlocks(_ size: [Int]) throws {
    for types in [Self.mixedTypes[0], Self.mixedTypes[1]] {
      for form in 0..<4 {
        let product = ProductCase(
          m: size[0], n: size[1], k: size[2], transposeA: form & 1 != 0, transposeB: form & 2 != 0,
          accumulate: true, hasBias: true, padding: 1, types: types)
        try product.check()
      }
    }
  }

  /// Rows of 512 numbers, which a processor's cache keeps in few of its sets: copied first where AVX2 multiplies.
  @Test(arguments: [
    ProductCase(m: 70, n: 512, k: 33), ProductCase(m: 65, n: 1024, k: 1030), ProductCase(m: 64, n: 1536, k: 3),
    ProductCase(m: 512, n: 67, k: 35, transposeA: true), ProductCase(m: 1536, n: 64, k: 5, transposeA: true),
    ProductCase(m: 512, n: 512, k: 9, transposeA: true), ProductCase(m: 80, n: 512, k: 512, transposeB: true),
    ProductCase(m: 63, n: 512, k: 12), ProductCase(m: 512, n: 63, k: 12, transposeA: true),
  ])
  func aProductWithCrowdedRows(_ dimensions: ProductCase) throws {
    // What is spread depends on the number of threads, which is each test thread's own.
    let before = apus_thread_count()
    apus_set_thread_count(2)
    defer { apus_set_thread_count(before) }
    for form in 0..<4 {
      var product = dimensions
      product.accumulate = form & 1 != 0
      product.hasBias = form & 2 != 0
      try product.check()
      let handle = try product.create()
      defer { apus_product_destroy(handle) }
      guard String(cString: apus_matrix_library_isa()) == "avx2" else { continue }
      let isSpread = String(cString: apus_product_implementation(handle)) == "spread:sgemm"
      #expect(isSpread == (min(product.m, product.n) >= 64 && !product.transposeB), "\(product)")
    }
  }

  /// A weight gradient of a large layer: the scratch is three blocks, not copies of the operands.
  @Test func theScratchOfAConvertedProductIsSmall() throws {
    let product = ProductCase(
      m: 50_257, n: 4_096, k: 8_192, transposeA: true, accumulate: true,
      types: [APUS_F16, APUS_F16, APUS_F16, APUS_F16])
    let handle = try product.create()
    defer { apus_product_destroy(handle) }
    #expect(String(cString: apus_product_implementation(handle)) == "convert:sgemm")
    #expect(apus_product_scratch_bytes(handle) <= 13 << 20)
  }

  /// A product is made once and run on other data each time.
  @Test func aProductIsRunAgainOnOtherData() throws {
    let product = ProductCase(m: 19, n: 23, k: 29, accumulate: true, hasBias: true)
    try product.check(seeds: [1, 2, 3])
  }

  @Test func noFormFallsBackToOneDNNsReferenceCode() throws {
    for form in 0..<16 {
      let product = ProductCase(
        m: 64, n: 96, k: 48, transposeA: form & 1 != 0, transposeB: form & 2 != 0, accumulate: form & 4 != 0,
        hasBias: form & 8 != 0)
      let handle = try product.create()
      defer { apus_product_destroy(handle) }
      let implementation = String(cString: apus_product_implementation(handle))
      #expect(!implementation.hasPrefix("ref"), "\(product): \(implementation)")
    }
  }

  @Test(arguments: [
    (ProductCase(m: 0, n: 3, k: 4), "M 0, N 3, K 4"), (ProductCase(m: 2, n: -1, k: 4), "N -1"),
    (ProductCase(m: 2, n: 3, k: 0), "K 0"),
    (ProductCase(m: 2, n: 3, k: 4, padding: -1), "A has rows of 4 numbers, but a stride of only 3"),
    (ProductCase(m: 7, n: 3, k: 4, transposeA: true, padding: -2), "A has rows of 7 numbers"),
  ])
  func aWrongShapeIsRefusedWithAMessage(_ product: ProductCase, _ part: String) {
    let failure = #expect(throws: ProductRefused.self) { _ = try product.create() }
    #expect(failure?.message.contains(part) == true, "\(failure?.message ?? "")")
  }

  @Test func aMessageIsCutToItsCapacity() {
    var shape = ProductCase(m: 0, n: 3, k: 4).shape
    var message = [CChar](repeating: 1, count: 16)
    #expect(apus_product_create(&shape, &message, 8) == nil)
    #expect(message[7] == 0 && message[8] == 1)
    #expect(apus_product_create(&shape, nil, 0) == nil)
  }

  @Test func aMissingBiasIsRefused() throws {
    let product = try ProductCase(m: 2, n: 2, k: 2, hasBias: true).create()
    defer { apus_product_destroy(product) }
    let ones = [Float](repeating: 1, count: 4)
    var result = [Float](repeating: 0, count: 4)
    #expect(apus_product_run(product, ones, ones, &result, nil, nil) != 0)
    #expect(result == [0, 0, 0, 0])
  }

  @Test func theLibraryNamesItself() {
    let version = String(cString: apus_matrix_library_version())
    #expect(version.hasPrefix("2.") || version.hasPrefix("3."), "\(version)")
    let isa = String(cString: apus_matrix_library_isa())
    #expect(!isa.isEmpty && !isa.contains("cpu_isa"), "\(isa)")
  }
}
