-- Nobody is left who reads single marks only.
CREATE OR REPLACE FUNCTION syncline.in_blocks() RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT true $$;
COMMENT ON FUNCTION syncline.in_blocks() IS 'Syncline: whether many keys may be marked in blocks.';
