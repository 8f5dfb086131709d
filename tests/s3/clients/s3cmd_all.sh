# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The commands of s3cmd that s3cmd.sh leaves out: configurations of buckets, lists of uploads, URLs.
. "${BASH_SOURCE%/*}/steps.sh"
CLIENT="s3cmd $(s3cmd --version | sed 's/.* //')"

: >empty.cfg
s3="s3cmd --config=empty.cfg --access_key=$AWS_ACCESS_KEY_ID --secret_key=$AWS_SECRET_ACCESS_KEY"
s3="$s3 --host=$HOST_PORT --host-bucket=$HOST_PORT --no-progress"
if test -n "$CA"; then s3="$s3 --ssl --ca-certs=$CA"; else s3="$s3 --no-ssl"; fi
noise 12000000 7 >big
echo text >text

# Ends what it is told to when its first part has been sent.
leave_upload() {
	$s3 put --multipart-chunk-size-mb=5 --limit-rate=3m big "s3://$BUCKET/left" >left.log 2>&1 &
	for _ in $(seq 200); do
		sleep 0.1
		upload=$($s3 multipart "s3://$BUCKET" | awk '/left/ { print $NF }')
		test -n "$upload" && $s3 listmp "s3://$BUCKET/left" "$upload" | grep -q 5242880 && break
	done
	kill -9 $!
	wait $! 2>/dev/null
	test -n "$upload"
}

step 'makes a bucket' $s3 mb "s3://$BUCKET"
step 'puts a file' $s3 put text "s3://$BUCKET/text"
if test -z "$CA"; then
	halfway
	call 'signs an URL, with version 2' eval "curl -sf \"\$($s3 signurl s3://$BUCKET/text +600)\" | cmp - text"
	exit
fi
cat >lifecycle.xml <<'XML'
<LifecycleConfiguration><Rule><ID>old</ID><Prefix>tmp/</Prefix><Status>Enabled</Status>
<Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>
XML
cat >cors.xml <<'XML'
<CORSConfiguration><CORSRule><AllowedOrigin>https://a.example</AllowedOrigin>
<AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>
XML
cat >policy.json <<JSON
{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
"Resource":"arn:aws:s3:::$BUCKET/open/*"}]}
JSON
step 'sets a lifecycle' $s3 setlifecycle lifecycle.xml "s3://$BUCKET"
step 'sets CORS' $s3 setcors cors.xml "s3://$BUCKET"
step 'sets a policy' $s3 setpolicy policy.json "s3://$BUCKET"
call 'leaves an upload' leave_upload
call 'resumes it with --continue-put' $s3 put --continue-put --upload-id="$upload" \
	--multipart-chunk-size-mb=5 big "s3://$BUCKET/left"
call 'leaves another' leave_upload

halfway

call 'lists uploads' eval "$s3 multipart s3://$BUCKET | grep -q '$upload'"
call 'lists parts' eval "$s3 listmp s3://$BUCKET/left $upload | grep -q 5242880"
step 'aborts an upload' $s3 abortmp "s3://$BUCKET/left" "$upload"
call 'which is gone' eval "! $s3 multipart s3://$BUCKET | grep -q '$upload'"
call 'has what it resumed' eval "$s3 get s3://$BUCKET/left - | cmp - big"
call 'gets the lifecycle' eval "$s3 getlifecycle s3://$BUCKET | grep -q tmp/"
call 'tells lifecycle, policy, CORS and owner' eval "$s3 info s3://$BUCKET >info && grep -q \"'tmp/' will expire in '3'\" info &&
	grep -q 's3:GetObject' info && grep -q a.example info && grep -q 'FULL_CONTROL' info"
step 'puts what all may read' $s3 put text "s3://$BUCKET/open/text"
call 'which curl gets' eval "curl -sf $ENDPOINT/$BUCKET/open/text | cmp - text"
call 'and nothing else' eval "! curl -sf $ENDPOINT/$BUCKET/text"
step 'deletes the policy' $s3 delpolicy "s3://$BUCKET"
call 'and none may read' eval "! curl -sf $ENDPOINT/$BUCKET/open/text"
step 'deletes CORS' $s3 delcors "s3://$BUCKET"
step 'deletes the lifecycle' $s3 dellifecycle "s3://$BUCKET"
step 'sets an expiry' $s3 expire --expiry-days=5 --expiry-prefix=x "s3://$BUCKET"
call 'which it tells' eval "$s3 info s3://$BUCKET | grep -q \"'x' will expire in '5'\""
step 'sets the private ACL' $s3 setacl --acl-private --recursive "s3://$BUCKET"
call 'has no public ACL where ACLs are off' eval "$s3 setacl --acl-public s3://$BUCKET/text 2>&1 | grep -q AccessControlListNotSupported"
step 'adds a header' $s3 modify --add-header='Cache-Control: max-age=7' "s3://$BUCKET/text"
call 'which curl gets by an URL' eval "curl -sfD - \"\$($s3 signurl s3://$BUCKET/text +600)\" | grep -qi 'cache-control: max-age=7'"
step 'removes a header' $s3 modify --remove-header=Cache-Control "s3://$BUCKET/text"
call 'which curl does not get' eval "! curl -sfD - \"\$($s3 signurl s3://$BUCKET/text +600)\" | grep -qi 'cache-control'"
call 'lists what is in all buckets' eval "$s3 la | grep -q 's3://$BUCKET/open/'"
call 'knows no access log' eval "$s3 accesslog s3://$BUCKET | grep -q 'Logging Enabled: False'"
step 'mends names' $s3 fixbucket "s3://$BUCKET"
step 'makes a website' $s3 ws-create --ws-index=index.html --ws-error=none.html "s3://$BUCKET"
call 'tells of it' eval "$s3 ws-info s3://$BUCKET | grep -q index.html"
step 'ends the website' $s3 ws-delete "s3://$BUCKET"
call 'is told that nothing is archived here' eval "$s3 restore s3://$BUCKET/text 2>&1 | grep -qE '501|403'"
step 'syncs between prefixes' $s3 sync "s3://$BUCKET/open/" "s3://$BUCKET/other/"
call 'which gives the same' eval "$s3 get s3://$BUCKET/other/text - | cmp - text"
step 'excludes' $s3 del --recursive --force --exclude='other/*' "s3://$BUCKET/"
call 'leaves what it excluded' eval "$s3 ls --recursive s3://$BUCKET | awk '{ print \$NF }' | grep -qx s3://$BUCKET/other/text"
step 'removes the bucket and what is in it' $s3 rb --recursive --force "s3://$BUCKET"
