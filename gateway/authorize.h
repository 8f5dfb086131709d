/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_AUTHORIZE_H
#define GATEWAY_AUTHORIZE_H

#include "gateway/request.h"

/* May they? Every right to a bucket or what is in it is weighed here, and nowhere else.
 *
 * (Z1) What the bucket's policy denies is denied to everybody: the owner and admins too, but for
 *      reading, setting and removing that policy, so that nobody is locked out for good.
 * (Z2) Else owner and admins may do everything, and others what the policy, a grant or the policy
 *      of their user allows them: the store is one account. Who has not signed is one of the
 *      others.
 * (Z3) Where RestrictPublicBuckets is set, a policy that is public allows nothing to others.
 * (Z4) A policy that cannot be read allows nothing to anybody but what (Z1) excepts.
 * (Z5) A request may need several rights: that of its route (of the version, if it names one), and
 *      those that its headers ask for. All are needed.
 * (Z6) Who may not list a bucket does not learn which keys are in it: NoSuchKey is AccessDenied.
 * (Z7) What the policy of the user denies is denied, whoever owns the bucket; what a policy of the
 *      key or of the session does not allow is denied, too. Neither costs anything where there is
 *      none.
 * (Z8) Where the bucket has ACLs, they allow too what nothing has denied. Who may list learns that
 *      an object is not there, and has no other right to it.
 * (Z9) What depends on the object itself (its ACL, its tags) is weighed again in the view that the
 *      object is found in: the gate may have seen another.
 */
struct authorize_target {
	const struct row_bucket *bucket; /* its id and owner; zero: none is there */
	const struct bucket_rules *rules; /* NULL: none */
	struct bytes name; /* of the bucket */
	struct bytes key; /* empty: the bucket itself */
	bool has_version;
	struct bytes version; /* text of a versionId */
};

/* Under a view, if the policy asks_object, or the bucket has ACLs. */
bool authorize(struct request *request, const struct authorize_target *target, const char *action);

/* What needs no bucket to be there: to list and to make them, with all that headers set. */
bool authorize_service(struct request *request);

/* Is the bucket among those that ListBuckets shows them: their own, those that grants name, and
 * those that the policy of their user lets them list? Under a view, which the row is of. Errors:
 * those of the index. */
MUST_USE enum err authorize_sees(
	struct request *request, const struct row_bucket *bucket, bool *ret_sees);

/* The bucket and key of the request itself. */
struct authorize_target authorize_target_of(const struct request *request);

/* All rights that the request needs for its route. S3_OK, S3_ACCESS_DENIED, or
 * S3_METHOD_NOT_ALLOWED: who does not own the bucket asks for its policy. Under a view. */
enum s3_code authorize_request(struct request *request) MUST_USE;

/* The right of the route to the object, in the view that it is found in: it may be another than was
 * let in at the gate. Costs nothing where no rule asks about objects. */
bool authorize_object(struct request *request);

/* May they delete all there is in the bucket, whatever is locked included, without a look at each
 * key? Who owns it or everything, where no policy of anybody could say otherwise. */
bool authorize_deletes_all(const struct request *request);

/* One key of a DeleteObjects. Under a view. */
bool authorize_delete(struct request *request, struct bytes key, bool has_version,
	struct bytes version, bool bypasses_governance);

/* The action for a version ("s3:GetObjectVersion") of one for the key; itself, if there is none. */
const char *authorize_version_action(const char *action);

/* May they know what is not there (Z6)? */
bool authorize_tells_absence(struct request *request);

#endif
