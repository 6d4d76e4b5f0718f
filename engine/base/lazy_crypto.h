/* SPDX-License-Identifier: Apache-2.0 */
/* libcrypto's functions that we use, loaded on demand: see lazylib.h. */
#pragma once

#include <openssl/evp.h>

#include "engine/base/lazylib.h"

#define LAZY_CRYPTO(fn) LAZY("libcrypto.so.3", fn)

#define EVP_DigestFinal_ex LAZY_CRYPTO(EVP_DigestFinal_ex)
#define EVP_DigestInit_ex LAZY_CRYPTO(EVP_DigestInit_ex)
#define EVP_DigestUpdate LAZY_CRYPTO(EVP_DigestUpdate)
#define EVP_MD_CTX_free LAZY_CRYPTO(EVP_MD_CTX_free)
#define EVP_MD_CTX_new LAZY_CRYPTO(EVP_MD_CTX_new)
#define EVP_sha1 LAZY_CRYPTO(EVP_sha1)
#define EVP_sha224 LAZY_CRYPTO(EVP_sha224)
#define EVP_sha256 LAZY_CRYPTO(EVP_sha256)
